"""The seam between a task and whoever enqueues it.

A task module must load without any SDK, so `.delay()` reaches its producer through here: a client that was set
explicitly, the worker's own inside a function, or one built from the environment on first use.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Protocol

from offload.core.durations import Duration, seconds
from offload.core.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from offload.core.handles import JobHandle
    from offload.core.jobs import Job

JOB_ID = re.compile(r"[A-Za-z0-9_.:\-]{1,128}")
_TEXT_LONGEST = 128
MOST_DELAY = 365 * 86400
"""Seconds."""

RETRY_TIMEOUT = 30.0
"""Seconds to look for a failed job's message; its way to the dead-letter queue takes a few."""


@dataclass(frozen=True, slots=True)
class Options:
    """How one job is enqueued; see `Task.options`."""

    delay: Duration | None = None
    priority: str | None = None
    key: str | None = None
    tenant: str | None = None
    expires: Duration | None = None
    id: str | None = None

    def __post_init__(self) -> None:
        """Check each option; the error names it."""
        if self.delay is not None:
            seconds(self.delay, field="delay", most=MOST_DELAY)
        if self.expires is not None:
            seconds(self.expires, field="expires", least=1)
        if self.id is not None:
            check_job_id(self.id)
        for name in ("key", "tenant"):
            value = getattr(self, name)
            if value is not None and not (
                isinstance(value, str) and 0 < len(value) <= _TEXT_LONGEST and value.isprintable()
            ):
                msg = f"{name}={value!r} must be a printable text of 1 to {_TEXT_LONGEST} characters"
                raise DefinitionError(msg)

    @classmethod
    def read(cls, given: dict[str, Any]) -> Options:
        """Take options by name.

        Raises:
            DefinitionError: One is unknown or wrong; names it.
        """
        known = [item.name for item in fields(cls)]
        unknown = set(given) - set(known)
        if unknown:
            msg = f"unknown option {min(unknown)!r}: choose from {', '.join(known)}"
            raise DefinitionError(msg)
        return cls(**given)

    def check_lane(self, task: str, lanes: Sequence[str]) -> None:
        """Refuse a priority the task does not declare."""
        if self.priority is not None and self.priority not in lanes:
            msg = f"priority={self.priority!r}: task {task!r} has the lanes {', '.join(lanes)}"
            raise DefinitionError(msg)


def check_job_id(value: object) -> str:
    """Return a valid job id, or say what is wrong with it."""
    if not isinstance(value, str) or not JOB_ID.fullmatch(value):
        msg = f"id={value!r} is not a job id: 1 to 128 of letters, digits and _ . : -"
        raise DefinitionError(msg)
    return value


@dataclass(frozen=True, slots=True)
class Order:
    """A checked request for one job.

    Attributes:
        task: The task's name.
        payload: Arguments by name, as JSON values.
        options: How to enqueue.
        read_result: Turns the result's JSON text into the task's return type; None leaves plain JSON values.
        max_attempts: Attempts allowed, where the producer knows the task.
        parent: Job it follows from, for one that does not run any more; a running one is known by itself.
        hops: Tasks between that parent and the program that began the chain, the parent included.
    """

    task: str
    payload: dict[str, Any]
    options: Options
    read_result: Callable[[str], Any] | None = None
    max_attempts: int | None = None
    parent: str | None = None
    hops: int = 0


class Producer(Protocol):
    """Whoever accepts orders and answers for jobs."""

    def send(self, order: Order) -> JobHandle[Any]:
        """Enqueue one job."""

    def send_many(self, orders: Sequence[Order]) -> list[JobHandle[Any]]:
        """Enqueue many."""

    def job(self, job_id: str, task: str | None = None) -> Job:
        """Read a job's record. With `task`, the job is known to be accepted for it: no record yet means PENDING."""

    def result_text(self, job: Job) -> str:
        """Read a finished job's result as JSON text."""

    def cancel(self, job_id: str, task: str | None = None) -> Job:
        """Cancel a job; `task` as in `job`."""

    def retry(self, job_id: str, timeout: float, task: str | None = None) -> Job:
        """Run a job again that failed or waits for its next attempt; `task` as in `job`."""

    def wait(self, job_id: str, timeout: float | None, task: str | None = None) -> Job:
        """Wait until the job has ended; `task` as in `job`."""


_current: Producer | None = None
_build: Callable[[], Producer] | None = None


def producer() -> Producer:
    """Return the producer in force; the first call may build it from the environment."""
    global _current  # noqa: PLW0603 - one producer a process is the point
    if _current is None:
        if _build is None:
            msg = "no client is set: call offload.use(Client.from_stack('offload')) first"
            raise DefinitionError(msg)
        _current = _build()
    return _current


def enqueue(task: str, payload: dict[str, Any], **options: Any) -> JobHandle[Any]:
    """Enqueue a job by its task's name with the client in force; inside a task, the worker's own.

    Args:
        task: The task's name; a task that calls this lists it in its `enqueues`.
        payload: Arguments by name, as JSON values.
        options: As `Task.options` takes them.

    Raises:
        UnknownTask: Not deployed, or not among the caller's `enqueues`.
        DefinitionError: An option is wrong.
        Unavailable: The queue did not answer. The job may have been enqueued all the same; to try again is
            safe under the same `id` or `key`.
    """
    return producer().send(Order(task, payload, Options.read(options)))


def use(client: Producer | None) -> Producer | None:
    """Set the client that `.delay()` uses in this process; None goes back to the environment's.

    Returns:
        The one that was in force, if any.
    """
    global _current
    before, _current = _current, client
    return before


def build_with(build: Callable[[], Producer]) -> None:
    """Register how a producer is built when none was set."""
    global _build  # noqa: PLW0603 - one producer a process is the point
    _build = build
