"""`current_job()`: what a task can ask and say about the job it runs."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, Protocol

from offload.core.errors import OffloadError


class CurrentJob(Protocol):
    """The job that is running.

    Attributes:
        id: Its id; the natural idempotency key for whatever the task calls.
        attempt: 1 for the first run.
        task: The task's name.
        tenant: Its fairness group.
        hops: How many tasks stand between this job and the program that began the chain.
    """

    id: str
    attempt: int
    task: str
    tenant: str | None
    hops: int

    def progress(self, current: float, total: float | None = None, *, stage: str | None = None) -> None:
        """Say how far the job is. Costs at most one write a second, however often it is called.

        Raises:
            LeaseLost: Another worker holds the job now; stop.
            ValueError: Not a finite number.
        """

    @property
    def cancelled(self) -> bool:
        """True once a cancel was asked for; reads the record at most once a second."""

    @property
    def remaining(self) -> float:
        """Seconds until the soft limit."""


_running: ContextVar[CurrentJob] = ContextVar("offload_current_job")


def running() -> CurrentJob | None:
    """Return the job that is running, or None outside one."""
    return _running.get(None)


def current_job() -> CurrentJob:
    """Return the job that is running.

    Raises:
        OffloadError: Called outside a job, for example in a plain call of the task's function.
    """
    job = running()
    if job is None:
        msg = "current_job() is only there while a job runs, not in a plain call of the function"
        raise OffloadError(msg)
    return job


def enter(job: CurrentJob) -> Any:
    """Make `job` the current one; returns the token for `leave`."""
    return _running.set(job)


def leave(token: Any) -> None:
    """Restore what was current before `enter`."""
    _running.reset(token)
