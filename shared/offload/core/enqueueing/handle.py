"""`JobHandle`: what enqueueing returns, and what a handle asks of the client behind it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from offload.core.jobs.manual_retry import LOOK_FOR_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from offload.core.jobs.job import Job
    from offload.core.jobs.state import State

T = TypeVar("T")
R_co = TypeVar("R_co", covariant=True)  # a handle only gives results: one of `bool` is one of `int` too


class JobService(Protocol):
    """Whoever answers for jobs by their ids.

    With `task`, a job is known to be accepted for that task: no record yet means that it is PENDING.
    """

    def job(self, job_id: str, task: str | None = None) -> Job:
        """Read a job's record."""

    def result_text(self, job: Job) -> str:
        """Read a finished job's result as JSON text."""

    def cancel(self, job_id: str, task: str | None = None) -> Job:
        """Cancel a job."""

    def retry(self, job_id: str, timeout: float, task: str | None = None) -> Job:
        """Run a job again that failed or waits for its next attempt."""

    def wait(self, job_id: str, timeout: float | None, task: str | None = None) -> Job:
        """Wait until the job has ended."""


@dataclass(frozen=True)
class JobHandle(Generic[R_co]):
    """A job that was accepted.

    Its message is enough for it to run. While its record is not written yet, the job counts as PENDING.

    Attributes:
        id: The job's id.
        task: The task's name.
        created: False when an idempotency key named a job that was there already.
    """

    id: str
    task: str
    _service: JobService = field(repr=False, compare=False)
    _read_result: Callable[[str], Any] | None = field(default=None, repr=False, compare=False)
    created: bool = True
    _accepted: bool = field(default=True, repr=False, compare=False)

    @property
    def _accepted_for(self) -> str | None:
        """The task's name if enqueueing returned this handle: then no record means PENDING. Else None."""
        return self.task if self._accepted else None

    def record(self) -> Job:
        """Read the job's whole record.

        Raises:
            UnknownJob: The handle was made from the job's id, and its record is gone.
            Unavailable: The table did not answer.
        """
        return self._service.job(self.id, self._accepted_for)

    def status(self) -> State:
        """Read the job's state; one request."""
        return self.record().state

    def wait(self, timeout: float | None = None) -> Job:
        """Wait until the job has ended and return its record.

        Args:
            timeout: Seconds; None waits as long as it takes.

        Raises:
            ResultTimeout: The job goes on.
        """
        return self._service.wait(self.id, timeout, self._accepted_for)

    def result(self, timeout: float | None = None) -> R_co:
        """Wait for the job and return what the task returned, in its annotated type.

        Args:
            timeout: Seconds; None waits as long as it takes.

        Raises:
            JobFailed: The job failed; the error is in `error`.
            JobCancelled: It was cancelled.
            JobExpired: It expired before it could start.
            ResultTimeout: It has not ended yet; it goes on.
            ResultExpired: Its result is past `result_ttl`.
            PayloadError: Its result is not of the annotated type.
        """
        job = self.wait(timeout)
        job.raise_unless_succeeded()
        text = self._service.result_text(job)
        result: R_co = self._read_result(text) if self._read_result else json.loads(text)
        return result

    def cancel(self) -> Job:
        """Cancel: a job that has not started never will; a running one sees `current_job().cancelled`.

        Returns:
            The record after the request; a job that has ended stays as it is.
        """
        return self._service.cancel(self.id, self._accepted_for)

    def retry(self, timeout: float = LOOK_FOR_SECONDS) -> Job:
        """Run a job again that failed, with fresh attempts, or start one at once that waits for its next attempt.

        Args:
            timeout: Seconds to look for a failed job's message in the dead-letter queue; it may be on its way there.

        Returns:
            The record after the request. `wait` and `result` then wait for the new end.

        Raises:
            WrongState: It neither failed nor waits for its next attempt.
            NoDeadLetter: It failed, but its message is not in the dead-letter queue, or not yet.
        """
        return self._service.retry(self.id, timeout, self._accepted_for)

    async def astatus(self) -> State:
        """`status` for `async` code."""
        return await _in_thread(self.status)

    async def aresult(self, timeout: float | None = None) -> R_co:  # noqa: ASYNC109 - the job's wait, not a scope's
        """`result` for `async` code."""
        return await _in_thread(lambda: self.result(timeout))

    async def acancel(self) -> Job:
        """`cancel` for `async` code."""
        return await _in_thread(self.cancel)

    async def aretry(self, timeout: float = LOOK_FOR_SECONDS) -> Job:  # noqa: ASYNC109 - how long to look, not a scope's
        """`retry` for `async` code."""
        return await _in_thread(lambda: self.retry(timeout))


async def _in_thread(call: Callable[[], T]) -> T:
    import asyncio  # only async callers pay for it

    return await asyncio.to_thread(call)
