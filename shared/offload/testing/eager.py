"""Jobs that run inline: `.delay()` returns when its job has ended, and raises what the task raised."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from offload.client import Client
from offload.core.errors import JobFailed
from offload.core.handles import JobHandle
from offload.core.jobs import Job, State
from offload.core.messages import job_id_of
from offload.core.producing import RETRY_TIMEOUT
from offload.testing.pipeline import Pipeline
from offload.testing.processes import running

if TYPE_CHECKING:
    from collections.abc import Sequence

    from offload.core.producing import Order
    from offload.memory.queues import Stored


class _EagerClient(Client):
    """A client whose jobs have ended when it returns."""

    eager: Eager

    def send(self, order: Order) -> JobHandle[Any]:
        """Enqueue one job and run it."""
        handle = super().send(order)
        self.eager.work_off(handle)
        return handle

    def send_many(self, orders: Sequence[Order]) -> list[JobHandle[Any]]:
        """Enqueue many jobs and run them, one after the other."""
        handles = super().send_many(orders)
        for handle in handles:
            self.eager.work_off(handle)
        return handles

    def retry(self, job_id: str, timeout: float = RETRY_TIMEOUT, task: str | None = None) -> Job:
        """Run a failed job again, to its end."""
        task = super().retry(job_id, timeout, task).task
        self.eager.work_off(JobHandle(job_id, task, self))
        return self.job(job_id, task)


class Eager(Pipeline):
    """A pipeline in which `.delay()` runs the job at once, here, with its retries; delays and backoff take no time.

    A task that enqueues others runs those inline too. A job that fails raises its task's own last exception from
    `.delay()`, once its `on_failure` has run.

    Attributes:
        propagate: Raise what tasks raise; set it to False to look at the failed job instead.
    """

    propagate = True

    _client_type = _EagerClient

    def _client(self) -> Client:
        client = super()._client()
        assert isinstance(client, _EagerClient)
        client.eager = self
        return client

    def work_off(self, handle: JobHandle[Any]) -> None:
        """Run a job to its end."""
        for _ in range(self.most_steps):
            message = self._message(handle)
            state = self.job(handle.id).state
            if message is None:
                due = self.clock.next_due()
                if state.terminal or due is None:
                    break
                self.clock.advance_to(due)  # it waits for a timer
            elif state.terminal:
                take_away = self._queues.bury if state is State.FAILED else self._queues.discard
                take_away(message[0], message[1].message_id)
            else:
                self._deliver(handle.task, *message)
        else:
            raise AssertionError(f"job {handle.id} does not end")
        self._surface(handle)

    def _message(self, handle: JobHandle[Any]) -> tuple[str, Stored] | None:
        for lane in self.manifest.lanes(handle.task):
            queue = self.queue(handle.task, lane)
            for message in self._queues.messages(queue):
                if handle.id == (job_id_of(message.body) or message.message_id):
                    return queue, message
        return None

    def _deliver(self, task: str, queue: str, message: Stored) -> None:
        self.clock.advance_to(message.visible_at)
        visibility = self.tasks[task].settings.hard_limit * 6
        received = self._queues.take(queue, message.message_id, visibility=visibility)
        self._mappings[queue].invoke([received], ends=False)

    def check_dead_letters(self) -> None:
        """Nothing to say at the end: what failed was raised when it did."""

    def _surface(self, handle: JobHandle[Any]) -> None:
        job = self.job(handle.id)
        if job.state is not State.FAILED or not self.propagate:
            return
        if running.get() is not None and not self._in_task():
            return  # a follow-up that the worker enqueued: its failure is not the job's it follows
        raise self.errors.get(handle.id) or JobFailed(handle.id, job.error or {})

    def _in_task(self) -> bool:
        from offload.core import context

        return context.running() is not None
