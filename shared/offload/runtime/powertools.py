"""The parts of Powertools the worker stands on, loaded without what they would bring along.

Three imports of Powertools cost more processor time at every cold start than all its others, and no worker uses what
they load. Each is kept away only while the module is loaded that asks for it. Whoever imports it afterwards gets the
real module.

- `utilities.idempotency` imports its DynamoDB layer, and with it boto3 (150 ms), as soon as any of its modules is
  loaded. The worker needs no such layer, since the job record is its idempotency record. So the package is loaded
  without running its `__init__`.
- `utilities.batch` loads the pydantic models of every AWS event (a fifth of our import) to name four of them in an
  annotation, but only if pydantic is loaded. While `batch` is loaded, pydantic is hidden from it.
- `utilities.batch` imports asyncio (a twentieth) for its asynchronous processor, which gets it when it asks.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter
from aws_lambda_powertools.metrics import Metrics, MetricUnit

if TYPE_CHECKING:
    from collections.abc import Iterator

_IDEMPOTENCY = "aws_lambda_powertools.utilities.idempotency"


class _Late(ModuleType):
    """A module that is loaded when something of it is used."""

    def __getattr__(self, name: str) -> Any:
        return getattr(import_module(self.__name__), name)


@contextmanager
def _in_place_of(name: str, stand_in: ModuleType | None) -> Iterator[None]:
    """Let `stand_in`, or nothing, be what imports find under a name."""
    real = sys.modules.pop(name, None)
    if stand_in is not None:
        sys.modules[name] = stand_in
    try:
        yield
    finally:
        sys.modules.pop(name, None)
        if real is not None:
            sys.modules[name] = real


def _bare(package: str) -> ModuleType:
    """Return a package whose modules can be imported although its `__init__` has not run; the real one if loaded."""
    spec = find_spec(package)
    assert spec is not None  # installed with the distribution imported above
    return sys.modules.get(package) or module_from_spec(spec)


with _in_place_of("pydantic", None), _in_place_of("asyncio", sys.modules.get("asyncio") or _Late("asyncio")):
    from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response

with _in_place_of(_IDEMPOTENCY, _bare(_IDEMPOTENCY)):
    from aws_lambda_powertools.utilities.idempotency.base import IdempotencyHandler
    from aws_lambda_powertools.utilities.idempotency.config import IdempotencyConfig
    from aws_lambda_powertools.utilities.idempotency.exceptions import (
        IdempotencyItemAlreadyExistsError,
        IdempotencyPersistenceLayerError,
    )
    from aws_lambda_powertools.utilities.idempotency.persistence.base import BasePersistenceLayer
    from aws_lambda_powertools.utilities.idempotency.persistence.datarecord import DataRecord

__all__ = [
    "BasePersistenceLayer",
    "BatchProcessor",
    "DataRecord",
    "EventType",
    "IdempotencyConfig",
    "IdempotencyHandler",
    "IdempotencyItemAlreadyExistsError",
    "IdempotencyPersistenceLayerError",
    "LambdaPowertoolsFormatter",
    "MetricUnit",
    "Metrics",
    "process_partial_response",
]
