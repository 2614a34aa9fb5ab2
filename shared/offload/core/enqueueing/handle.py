"""`JobHandle`: what enqueueing returns, and what a handle asks of the client behind it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Protocol, TypeVar

from offload.core.jobs.manual_retry import LOOK_FOR_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from offload.core.durations import Duration
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

    def retry(self, job_id: str, timeout: Duration, task: str | None = None) -> Job:
        """Run a job again that failed or waits for its next attempt."""

    def wait(self, job_id: str, timeout: Duration | None, task: str | None = None) -> Job:
        """Wait until the job has ended."""

    async def await_(self, job_id: str, timeout: Duration | None, task: str | None = None) -> Job:  # noqa: ASYNC109 - the job's wait, not a scope's
        """`wait` for `async` code."""

    async def off_loop(self, call: Callable[[], T]) -> T:
        """Run a call that makes a short request, so that the event loop goes on."""


@dataclass(frozen=True)
class JobHandle(Generic[R_co]):
    """A job that was accepted.

    Its message is enough for it to run. While its record is not written yet, the job counts as PENDING.

    Attributes:
        id: The job's id.
        task: The task's name.
        created: False when the id or the idempotency key named a job that was there already. None for a handle that was
            made from an id (`Client.handle`), which enqueued nothing.
    """

    id: str
    task: str
    _service: JobService = field(repr=False, compare=False)
    _read_result: Callable[[str], Any] | None = field(default=None, repr=False, compare=False)
    created: bool | None = field(default=True, compare=False)
    _accepted: bool = field(default=True, repr=False, compare=False)

    if not TYPE_CHECKING:  # a type checker that saw this would take every misspelt name for a method

        def __getattr__(self, name: str) -> NoReturn:
            """Say what stands for a method of Celery's results."""
            from offload.core.enqueueing.celery_names import no_method_of_handles  # only an error needs it

            raise no_method_of_handles(name)

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled: the client behind the handle is of this process.

        Raises:
            TypeError: Always; says what to send instead.
        """
        msg = (
            f"the handle of job {self.id!r} cannot be pickled, because it has this process's client: send handle.id, "
            "and call Client.from_stack().handle(id) there"
        )
        raise TypeError(msg)

    def __copy__(self) -> JobHandle[R_co]:
        """Return the handle itself, which nothing can change."""
        return self

    def __deepcopy__(self, _memo: dict[int, Any]) -> JobHandle[R_co]:
        """Return the handle itself."""
        return self

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
        return self._service.job(self.id, self._accepted_for).of_task(self.task)

    def status(self) -> State:
        """Read the job's state; one request."""
        return self.record().state

    def wait(self, timeout: Duration | None = None) -> Job:
        """Wait until the job has ended and return its record.

        Args:
            timeout: Seconds, a `timedelta`, or a text such as `"30s"`; None waits as long as it takes.

        Raises:
            ResultTimeout: The job goes on.
        """
        return self._service.wait(self.id, timeout, self._accepted_for).of_task(self.task)

    def result(self, timeout: Duration | None = None) -> R_co:
        """Wait for the job and return what the task returned, in its annotated type.

        The handle of a job that was enqueued by name returns plain JSON values: a datetime as its text, a model as a
        dict.

        Args:
            timeout: Seconds, a `timedelta`, or a text such as `"30s"`; None waits as long as it takes.

        Raises:
            JobFailed: The job failed; the error is in `error`.
            JobCancelled: It was cancelled.
            JobExpired: It expired before it could start.
            ResultTimeout: It has not ended yet; it goes on.
            ResultExpired: Its result is past `result_ttl`.
            PayloadError: Its result is not of the annotated type.
        """
        return self._result_of(self.wait(timeout))

    def _result_of(self, job: Job) -> R_co:
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

    def retry(self, timeout: Duration = LOOK_FOR_SECONDS) -> Job:
        """Run a job again that failed, with fresh attempts, or start one at once that waits for its next attempt.

        Args:
            timeout: How long to look for a failed job's message in the dead-letter queue; it may be on its way there.

        Returns:
            The record after the request. `wait` and `result` then wait for the new end.

        Raises:
            WrongState: It neither failed nor waits for its next attempt.
            NoDeadLetter: It failed, but its message is not in the dead-letter queue, or not yet.
        """
        return self._service.retry(self.id, timeout, self._accepted_for)

    async def arecord(self) -> Job:
        """`record` for `async` code."""
        return await self._service.off_loop(self.record)

    async def astatus(self) -> State:
        """`status` for `async` code."""
        return await self._service.off_loop(self.status)

    async def await_(self, timeout: Duration | None = None) -> Job:  # noqa: ASYNC109 - the job's wait, not a scope's
        """`wait` for `async` code. It takes no thread: thousands of jobs can be waited for at once."""
        return (await self._service.await_(self.id, timeout, self._accepted_for)).of_task(self.task)

    async def aresult(self, timeout: Duration | None = None) -> R_co:  # noqa: ASYNC109 - the job's wait, not a scope's
        """`result` for `async` code; it waits as `await_` does."""
        job = await self.await_(timeout)
        if job.result_ref is None:
            return self._result_of(job)
        return await self._service.off_loop(lambda: self._result_of(job))

    async def acancel(self) -> Job:
        """`cancel` for `async` code."""
        return await self._service.off_loop(self.cancel)

    async def aretry(self, timeout: Duration = LOOK_FOR_SECONDS) -> Job:  # noqa: ASYNC109 - how long to look, not a scope's
        """`retry` for `async` code."""
        return await self._service.off_loop(lambda: self.retry(timeout))
