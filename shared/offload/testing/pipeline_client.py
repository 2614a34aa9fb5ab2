"""The client of a pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING

from offload.client import Client
from offload.testing.processes import current_process

if TYPE_CHECKING:
    from offload.core.jobs.job import Job


class WaitsForEver(AssertionError):
    """A test waits for a job, but nothing runs while the test waits."""


class PipelineClient(Client):
    """The client of a pipeline: a test that waits for a job is told what to do instead."""

    def wait(self, job_id: str, timeout: float | None = None, task: str | None = None) -> Job:
        """Wait until a job has ended; a task that waits lets time pass, which a test cannot do this way.

        Raises:
            WaitsForEver: The test itself waits, without a timeout, for a job that has not ended.
        """
        if timeout is None and current_process.get() is None:
            job = self.job(job_id, task)
            if not job.state.ended:
                raise WaitsForEver(
                    f"job {job_id} of {job.task!r} is {job.state}, and in a pipeline nothing runs while a test waits: "
                    "call pipeline.run_until_idle() or pipeline.advance(...) first"
                )
        return super().wait(job_id, timeout, task)
