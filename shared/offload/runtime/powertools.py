"""The parts of Powertools the worker stands on, loaded without what they would bring along.

Three of its imports cost more CPU at every cold start than the rest of it together, for things no worker uses. Each is
kept away only while the module that asks for it is loaded; whoever imports it afterwards gets the real one, whole.

- `utilities.idempotency` imports its DynamoDB layer, and with it boto3 (150 ms), as soon as any of its modules is
  loaded; the job record is our idempotency record. The package stands in without having run its `__init__`.
- `utilities.batch` loads the pydantic models of every AWS event (a fifth of our import) to name four of them in an
  annotation, if it finds pydantic loaded. It is to find none: a placeholder of its own takes their place.
- `utilities.batch` imports asyncio (a twentieth) for its asynchronous processor, which gets it when it asks.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.logging import Logger
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
    "Logger",
    "MetricUnit",
    "Metrics",
    "process_partial_response",
]
