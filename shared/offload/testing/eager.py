"""Jobs that run inline: `.delay()` returns when its job has ended, and raises the exception of a job that failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from offload.core.enqueueing.handle import JobHandle
from offload.core.errors import JobFailed
from offload.core.jobs.manual_retry import LOOK_FOR_SECONDS
from offload.core.jobs.state import State
from offload.core.messages.message import job_id_for
from offload.core.tasks.context import Origin, origin
from offload.testing.pipeline import Pipeline
from offload.testing.pipeline_client import PipelineClient

if TYPE_CHECKING:
    from offload.client import Client
    from offload.core.durations import Duration
    from offload.core.enqueueing.bulk import BulkRequest, JobHandles
    from offload.core.enqueueing.request import EnqueueRequest
    from offload.core.jobs.job import Job
    from offload.memory.queue import StoredMessage
    from offload.operate.dead_letters import DeadLetter


class _EagerClient(PipelineClient):
    """A client that runs each job before it returns the job's handle."""

    eager: Eager

    def send(self, request: EnqueueRequest) -> JobHandle[Any]:
        """Enqueue one job and run it."""
        handle = super().send(request)
        self.eager.run_job(handle)
        return handle

    def send_many(self, bulk: BulkRequest) -> JobHandles[JobHandle[Any]]:
        """Enqueue many jobs and run them one after the other."""
        handles = super().send_many(bulk)
        for handle in handles:
            self.eager.run_job(handle)
        return handles

    def _lets_time_pass(self) -> bool:
        return False  # nothing is left that could end the job, whoever waits

    def _why(self) -> str:
        return (
            "with `eager` a job runs inside the call that enqueues it, so nothing ends this one while somebody waits: "
            "it waits for itself, or it was not enqueued by the test or its tasks"
        )

    def retry(self, job_id: str, timeout: Duration = LOOK_FOR_SECONDS, task: str | None = None) -> Job:
        """Run a failed job again, to its end."""
        task = super().retry(job_id, timeout, task).task
        self.eager.run_job(JobHandle(job_id, task, self))
        return self.job(job_id, task)


class Eager(Pipeline):
    """A pipeline in which `.delay()` runs the job inline, with its retries. Delays and backoff take no time.

    Jobs that a task enqueues run inline too. When a job fails, its `on_failure` task runs first; then the test's
    `.delay()` raises the last exception of the job's task. A task's own `.delay()` raises nothing, as on AWS: the job
    that it has enqueued fails on its own account. At its end the test then fails with `DeadLettered`, unless it expects
    dead letters of that job's task.

    Attributes:
        propagate: Raise the exceptions of tasks. Set it to False to look at the failed jobs instead.
    """

    propagate = True
    _told: set[str]

    _client_type = _EagerClient

    def _client(self) -> Client:
        client = super()._client()
        assert isinstance(client, _EagerClient)
        client.eager = self
        self._told = set()
        return client

    def run_job(self, handle: JobHandle[Any]) -> None:
        """Run a job to its end."""
        with self._interrupts.watched():
            for _ in range(self.most_steps):
                if not self._take_step(handle):
                    break
                self._interrupts.check()
            else:
                raise AssertionError(f"job {handle.id} has not ended after {self.most_steps} steps")
        self._raise_if_failed(handle)

    def _take_step(self, handle: JobHandle[Any]) -> bool:
        """Bring a job nearer to its end; False when nothing is left to do."""
        found = self._find_message(handle)
        state = self.job(handle.id).state
        if found is None:
            due = self.clock.next_due()
            if state.ended or due is None:
                return False
            self.clock.advance_to(due)  # the job's message comes from a timer
        elif state.ended:
            remove = self._queues.to_dead_letter_queue if state is State.FAILED else self._queues.delete_one
            queue, message = found
            remove(queue, message.message_id)
        else:
            self._deliver(handle.task, *found)
        return True

    def _find_message(self, handle: JobHandle[Any]) -> tuple[str, StoredMessage] | None:
        """Return the queue and the message of a job; None when no queue has a message of the job."""
        for lane in self.manifest.lanes(handle.task):
            queue = self.queue(handle.task, lane)
            for message in self._queues.messages(queue):
                if job_id_for(message) == handle.id:
                    return queue, message
        return None

    def _deliver(self, task: str, queue: str, message: StoredMessage) -> None:
        self.clock.advance_to(message.visible_at)
        visibility = self.tasks[task].settings.hard_limit * 6
        received = self._queues.receive_one(queue, message.message_id, visibility=visibility)
        self._mappings[queue].invoke([received], kill_at_timeout=False)

    def _is_unexpected(self, dead_letter: DeadLetter) -> bool:
        """Tell whether the test has not heard of a dead letter: a failed job of its own was raised by `.delay()`."""
        return self.propagate and dead_letter.job_id not in self._told and super()._is_unexpected(dead_letter)

    def _raise_if_failed(self, handle: JobHandle[Any]) -> None:
        job = self.job(handle.id)
        if job.state is not State.FAILED or not self.propagate or origin() != Origin():
            return  # what enqueues the job inside of a worker, a task or a follow-up, does not fail because of it
        self._told.add(handle.id)
        raise self.errors.get(handle.id) or JobFailed(handle.id, job.error or {})
