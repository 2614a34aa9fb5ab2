"""Offload: background tasks on AWS with nothing to keep running.

This is the whole public surface. Importing it loads no AWS SDK: a client is built on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from offload.core import producing as _producing
from offload.core.context import CurrentJob, current_job
from offload.core.errors import (
    DefinitionError,
    JobCancelled,
    JobExpired,
    JobFailed,
    NoDeadLetter,
    OffloadError,
    PayloadError,
    Permanent,
    Refused,
    ResultExpired,
    ResultTimeout,
    RetryLater,
    SoftTimeLimitExceeded,
    Unavailable,
    UnknownJob,
    UnknownTask,
    WrongState,
)
from offload.core.handles import JobHandle
from offload.core.jobs import Job, State
from offload.core.producing import enqueue, use
from offload.core.retry import Retry
from offload.core.settings import Allow, RateLimit, defaults
from offload.core.tasks import Task, task

if TYPE_CHECKING:
    from offload.client import Client, PartlyEnqueued
    from offload.core.schedules import Cron, Every

_LATE = {
    "Client": "offload.client",
    "PartlyEnqueued": "offload.client",
    "Cron": "offload.core.schedules",
    "Every": "offload.core.schedules",
}

__all__ = [
    "Allow",
    "Client",
    "Cron",
    "CurrentJob",
    "DefinitionError",
    "Every",
    "Job",
    "JobCancelled",
    "JobExpired",
    "JobFailed",
    "JobHandle",
    "NoDeadLetter",
    "OffloadError",
    "PartlyEnqueued",
    "PayloadError",
    "Permanent",
    "RateLimit",
    "Refused",
    "ResultExpired",
    "ResultTimeout",
    "Retry",
    "RetryLater",
    "SoftTimeLimitExceeded",
    "State",
    "Task",
    "Unavailable",
    "UnknownJob",
    "UnknownTask",
    "WrongState",
    "current_job",
    "defaults",
    "enqueue",
    "task",
    "use",
]


def __getattr__(name: str) -> Any:
    """Load what few modules need (the SDK, the cron engine) when it is first asked for."""
    if name not in _LATE:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    import importlib

    return getattr(importlib.import_module(_LATE[name]), name)


def _client_from_environment() -> _producing.Producer:
    from offload.client import Client

    return Client.from_stack()


_producing.build_with(_client_from_environment)
