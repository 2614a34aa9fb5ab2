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

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def task(self) -> str:
        """The task's name."""

    @property
    def attempt(self) -> int:
        """The number of this run."""

    @property
    def tenant(self) -> str | None:
        """Its fairness group."""

    @property
    def hops(self) -> int:
        """Tasks between it and the beginning of its chain."""

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


def running_job() -> CurrentJob | None:
    """Return the job that is running, or None outside one."""
    return _running.get(None)


class _PlainCall:
    """What a task sees when it is called as a plain function: a first attempt that nobody watches.

    It has no id, because a made-up id would be taken for an idempotency key.
    """

    attempt, tenant, hops = 1, None, 0
    cancelled = False
    remaining = float("inf")

    def progress(self, current: float, total: float | None = None, *, stage: str | None = None) -> None:
        """Tell nobody."""

    @property
    def id(self) -> str:
        """There is none.

        Raises:
            OffloadError: Always.
        """
        raise OffloadError("current_job().id is only there while a job runs, not in a plain call of the function")

    @property
    def task(self) -> str:
        """There is none.

        Raises:
            OffloadError: Always.
        """
        raise OffloadError("current_job().task is only there while a job runs, not in a plain call of the function")


_PLAIN_CALL = _PlainCall()


def current_job() -> CurrentJob:
    """Return the job that is running.

    In a plain call of the task's function, as in a unit test, there is no job. Then the object that is returned stands
    for a first attempt that is never cancelled and whose progress goes nowhere. Only its `id` and `task` are refused.
    """
    return running_job() or _PLAIN_CALL


def enter(job: CurrentJob) -> Any:
    """Make `job` the current one; returns the token for `leave`."""
    return _running.set(job)


def leave(token: Any) -> None:
    """Restore what was current before `enter`."""
    _running.reset(token)
