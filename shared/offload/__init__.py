"""Offload: background tasks on AWS with nothing to keep running.

This is the whole public surface. Importing it loads no AWS SDK: a client is built on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from offload.core.enqueueing import producer as _producer
from offload.core.enqueueing.handle import JobHandle
from offload.core.enqueueing.options import EnqueueOptions
from offload.core.enqueueing.producer import aenqueue, enqueue, use
from offload.core.enqueueing.request import EnqueueRequest
from offload.core.errors import (
    DefinitionError,
    IdTaken,
    JobCancelled,
    JobExpired,
    JobFailed,
    KeyReused,
    NoDeadLetter,
    OffloadError,
    PayloadError,
    Refused,
    ResultExpired,
    ResultTimeout,
    Unavailable,
    UnknownJob,
    UnknownTask,
    WrongResult,
    WrongState,
)
from offload.core.flow.rate_limit import RateLimit
from offload.core.hooks import Hooks, RunReport, add_hooks, remove_hooks
from offload.core.jobs.state import State
from offload.core.redaction import Secret
from offload.core.tasks.call import Call
from offload.core.tasks.context import CurrentJob, current_job
from offload.core.tasks.control import Permanent, RetryLater, SoftTimeLimitExceeded
from offload.core.tasks.permissions import Allow
from offload.core.tasks.retry_policy import Retry
from offload.core.tasks.settings import TaskSettings, defaults
from offload.core.tasks.task import AsyncTask, Task, task

if TYPE_CHECKING:
    from offload.client import Client
    from offload.core.enqueueing.bulk import JobHandles, PartlyEnqueued, WrongCalls
    from offload.core.jobs.job import Job
    from offload.core.records import ErrorRecord
    from offload.core.schedules import Cron, Every

_LATE = {
    "Client": "offload.client",
    "Cron": "offload.core.schedules",
    "ErrorRecord": "offload.core.records",
    "Every": "offload.core.schedules",
    "Job": "offload.core.jobs.job",
    "JobHandles": "offload.core.enqueueing.bulk",
    "PartlyEnqueued": "offload.core.enqueueing.bulk",
    "WrongCalls": "offload.core.enqueueing.bulk",
}

__all__ = [
    "Allow",
    "AsyncTask",
    "Call",
    "Client",
    "Cron",
    "CurrentJob",
    "DefinitionError",
    "EnqueueOptions",
    "EnqueueRequest",
    "ErrorRecord",
    "Every",
    "Hooks",
    "IdTaken",
    "Job",
    "JobCancelled",
    "JobExpired",
    "JobFailed",
    "JobHandle",
    "JobHandles",
    "KeyReused",
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
    "RunReport",
    "Secret",
    "SoftTimeLimitExceeded",
    "State",
    "Task",
    "TaskSettings",
    "Unavailable",
    "UnknownJob",
    "UnknownTask",
    "WrongCalls",
    "WrongResult",
    "WrongState",
    "add_hooks",
    "aenqueue",
    "current_job",
    "defaults",
    "enqueue",
    "remove_hooks",
    "task",
    "use",
]


if not TYPE_CHECKING:  # a type checker that saw this would take every misspelt name for one of the library's

    def __getattr__(name: str) -> Any:
        """Load what few modules need (the SDK, the cron engine) when it is first asked for."""
        if name not in _LATE:
            msg = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(msg)
        import importlib

        return getattr(importlib.import_module(_LATE[name]), name)


def _client_from_environment() -> _producer.Producer:
    from offload.client import Client

    return Client.from_stack()


_producer.build_with(_client_from_environment)
