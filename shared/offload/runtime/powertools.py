"""The parts of Powertools the worker stands on, loaded without what they would bring along.

Three imports of Powertools cost more processor time at every cold start than all its others, and no worker uses what
they load. Each is kept away only while the module is loaded that asks for it. Whoever imports it afterwards gets the
real module.

- `utilities.idempotency` imports its DynamoDB layer, and with it boto3 (150 ms), as soon as any of its modules is
  loaded. The worker needs no such layer, since the job record is its idempotency record. So the package's `__init__`
  runs when something of it is used that its modules do not bring.
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
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.metrics.provider.cloudwatch_emf.cloudwatch import AmazonCloudWatchEMFProvider

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


class _LatePackage(ModuleType):
    """A package whose `__init__` runs when something is asked of it that it does not have yet.

    Its modules can be imported before. It stays the one object that is the package, so that they are found in it.
    """

    def __getattr__(self, name: str) -> Any:
        spec = self.__spec__
        if spec is None or spec.loader is None or (name.startswith("__") and name != "__all__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        self.__class__ = ModuleType  # type: ignore[assignment]  # before it runs: it asks the package for its modules
        try:
            spec.loader.exec_module(self)
        except BaseException:
            self.__class__ = _LatePackage
            raise
        return getattr(self, name)


@contextmanager
def _late(name: str) -> Iterator[None]:
    """From now on, let imports find a package whose `__init__` has not run, unless it is loaded already."""
    spec = find_spec(name)
    assert spec is not None  # installed with the distribution imported above
    if name not in sys.modules:
        package = module_from_spec(spec)
        package.__class__ = _LatePackage
        sys.modules[name] = package
        parent, _, own = name.rpartition(".")
        setattr(import_module(parent), own, package)
    yield


with _in_place_of("pydantic", None), _in_place_of("asyncio", sys.modules.get("asyncio") or _Late("asyncio")):
    from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response

with _late(_IDEMPOTENCY):
    from aws_lambda_powertools.utilities.idempotency.base import IdempotencyHandler
    from aws_lambda_powertools.utilities.idempotency.config import IdempotencyConfig
    from aws_lambda_powertools.utilities.idempotency.exceptions import (
        IdempotencyItemAlreadyExistsError,
        IdempotencyPersistenceLayerError,
    )
    from aws_lambda_powertools.utilities.idempotency.persistence.base import BasePersistenceLayer
    from aws_lambda_powertools.utilities.idempotency.persistence.datarecord import DataRecord

__all__ = [
    "AmazonCloudWatchEMFProvider",
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
    "process_partial_response",
]
