"""The parts of Powertools the worker stands on.

`aws_lambda_powertools.utilities.idempotency` imports its DynamoDB layer, and with it boto3, as soon as any of its
modules is loaded: 0.5 s of CPU at every cold start for a class the worker does not use, since the job record is the
idempotency record. So while the two modules we need are loaded, the package stands in `sys.modules` without having
run its `__init__`; afterwards it is taken out again, and a task that imports it gets the real one, whole.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec, module_from_spec

from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.metrics import Metrics, MetricUnit
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response

_PACKAGE = "aws_lambda_powertools.utilities.idempotency"
_spec = find_spec(_PACKAGE) if _PACKAGE not in sys.modules else None
if _spec is not None:
    sys.modules[_PACKAGE] = module_from_spec(_spec)
try:
    from aws_lambda_powertools.utilities.idempotency.base import IdempotencyHandler
    from aws_lambda_powertools.utilities.idempotency.config import IdempotencyConfig
    from aws_lambda_powertools.utilities.idempotency.exceptions import (
        IdempotencyItemAlreadyExistsError,
        IdempotencyPersistenceLayerError,
    )
    from aws_lambda_powertools.utilities.idempotency.persistence.base import BasePersistenceLayer
    from aws_lambda_powertools.utilities.idempotency.persistence.datarecord import DataRecord
finally:
    if _spec is not None:
        del sys.modules[_PACKAGE]

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
