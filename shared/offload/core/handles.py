"""`JobHandle`: what enqueueing returns."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from offload.core.producing import RETRY_TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Callable

    from offload.core.jobs import Job, State
    from offload.core.producing import Producer

R = TypeVar("R")


@dataclass(frozen=True)
class JobHandle(Generic[R]):
    """A job that was accepted.

    Its message suffices for it to run: where its record is not written yet, it counts as PENDING.

    Attributes:
        id: The job's id.
        task: The task's name.
        created: False when an idempotency key named a job that was there already.
    """

    id: str
    task: str
    _producer: Producer = field(repr=False, compare=False)
    _read_result: Callable[[str], Any] | None = field(default=None, repr=False, compare=False)
    created: bool = True
    _accepted: bool = field(default=True, repr=False, compare=False)

    @property
    def _of(self) -> str | None:
        """The task, where the job is known to be accepted for it; a job looked up by its id must have a record."""
        return self.task if self._accepted else None

    def record(self) -> Job:
        """Read the job's whole record.

        Raises:
            UnknownJob: The handle was made from the job's id, and its record is gone.
            Unavailable: The table did not answer.
        """
        return self._producer.job(self.id, self._of)

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
        return self._producer.wait(self.id, timeout, self._of)

    def result(self, timeout: float | None = None) -> R:
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
        text = self._producer.result_text(job)
        result: R = self._read_result(text) if self._read_result else json.loads(text)
        return result

    def cancel(self) -> Job:
        """Cancel: a job that has not started never will; a running one sees `current_job().cancelled`.

        Returns:
            The record after the request; a job that has ended stays as it is.
        """
        return self._producer.cancel(self.id, self._of)

    def retry(self, timeout: float = RETRY_TIMEOUT) -> Job:
        """Run a job again that failed, with fresh attempts, or start one at once that waits for its next attempt.

        Args:
            timeout: Seconds to look for a failed job's message in the dead-letter queue; it may be on its way there.

        Returns:
            The record after the request. `wait` and `result` then wait for the new end.

        Raises:
            WrongState: It neither failed nor waits for its next attempt.
            NoDeadLetter: It failed, but its message is not in the dead-letter queue, or not yet.
        """
        return self._producer.retry(self.id, timeout, self._of)

    async def astatus(self) -> State:
        """`status` for `async` code."""
        return await _in_thread(self.status)

    async def aresult(self, timeout: float | None = None) -> R:  # noqa: ASYNC109 - the job's wait, not a scope's
        """`result` for `async` code."""
        return await _in_thread(lambda: self.result(timeout))

    async def acancel(self) -> Job:
        """`cancel` for `async` code."""
        return await _in_thread(self.cancel)

    async def aretry(self, timeout: float = RETRY_TIMEOUT) -> Job:  # noqa: ASYNC109 - how long to look, not a scope's
        """`retry` for `async` code."""
        return await _in_thread(lambda: self.retry(timeout))


T = TypeVar("T")


async def _in_thread(call: Callable[[], T]) -> T:
    import asyncio  # only async callers pay for it

    return await asyncio.to_thread(call)
