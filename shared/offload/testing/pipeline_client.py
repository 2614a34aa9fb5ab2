"""The client of a pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from offload.client import Client
from offload.core.durations import text
from offload.core.errors import ResultTimeout
from offload.core.jobs.polling import timeout_seconds
from offload.core.tasks.context import Origin, origin

if TYPE_CHECKING:
    from offload.core.durations import Duration
    from offload.core.enqueueing.bulk import BulkRequest, JobHandles
    from offload.core.enqueueing.handle import JobHandle
    from offload.core.enqueueing.request import EnqueueRequest
    from offload.core.jobs.job import Job
    from offload.testing.green_threads import GreenThreads

_NOTHING_RUNS = (
    "in a pipeline nothing runs while a test waits: call pipeline.run_until_idle() or pipeline.advance(...) first"
)


class WaitsForEver(AssertionError):
    """A test waits for a job, but nothing runs while the test waits."""


class PipelineClient(Client):
    """The client of a pipeline.

    A test that waits for a job is told what to do instead. An `eta` is often made of the real time, which goes on while
    the test runs: the virtual clock must not be behind it, or the job would start too late.
    """

    clock: GreenThreads

    def send(self, request: EnqueueRequest) -> JobHandle[Any]:
        """Enqueue one job."""
        self._catch_up(request)
        return super().send(request)

    def send_many(self, bulk: BulkRequest) -> JobHandles[JobHandle[Any]]:
        """Enqueue many jobs."""

        def request(entry: Any) -> EnqueueRequest:
            made = bulk.request(entry)
            self._catch_up(made)
            return made

        return super().send_many(bulk._replace(request=request))

    def _catch_up(self, request: EnqueueRequest) -> None:
        if request.options.eta is not None:
            self.clock.catch_up()

    def wait(self, job_id: str, timeout: Duration | None = None, task: str | None = None) -> Job:
        """Wait until a job has ended; a task that waits lets time pass, which a test cannot do this way.

        Raises:
            WaitsForEver: The test itself waits, without a timeout, for a job that has not ended.
            ResultTimeout: The job has not ended. For the test itself the whole time passes at once.
        """
        if self._lets_time_pass():
            return super().wait(job_id, timeout, task)
        seconds = None if timeout is None else timeout_seconds(timeout)
        job = self.job(job_id, task)
        if job.state.ended:
            return job
        if seconds is None:
            raise WaitsForEver(f"job {job_id} of {job.task!r} is {job.state}, and {self._why()}")
        self.clock.sleep(seconds)
        job = self.job(job_id, task)
        if job.state.ended:
            return job
        raise ResultTimeout(f"job {job_id} of {job.task!r} is {job.state} after {text(seconds)}; {self._why()}")

    def _lets_time_pass(self) -> bool:
        """Tell whether other jobs go on while the caller waits."""
        return origin() != Origin()

    def _why(self) -> str:
        return _NOTHING_RUNS
