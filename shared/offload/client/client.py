"""`Client`: enqueue jobs and ask after them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from offload.client.retry_by_hand import ManualRetry
from offload.client.sender import Sender
from offload.core.clock import Clock, SystemClock
from offload.core.enqueueing.handle import JobHandle
from offload.core.enqueueing.options import CheckedOptions, EnqueueOptions
from offload.core.enqueueing.request import EnqueueRequest
from offload.core.errors import OffloadError, PayloadError, ResultTimeout, Unavailable, UnknownJob
from offload.core.hooks import call_hooks
from offload.core.ids import system_random
from offload.core.jobs.cancelling import cancel_unrecorded, cancel_waiting, request_cancel
from offload.core.jobs.job import Job
from offload.core.jobs.manual_retry import LOOK_FOR_SECONDS
from offload.core.jobs.state import State
from offload.core.manifest import DEFAULT_STACK, Manifest
from offload.core.writes import MOST_CONFLICTS, Conflict

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence
    from typing import Unpack

    from offload.client.sender import Sent
    from offload.core.ports import Blobs, JobStore, Queues, Timers
    from offload.core.records import JobRecord

_FIRST_LOOK, _LAST_LOOK = 0.1, 2.0
"""Seconds between two looks at a job that is waited for: the first pause and the longest."""


class PartlyEnqueued(OffloadError):
    """Some jobs of a batch are not known to be enqueued; one whose answer was lost may have been all the same.

    Enqueue each failed call again under its id (`options(id=error.ids[index])`) or, where it has one, its key: then it
    runs once, whatever became of the first try.

    Attributes:
        handles: One entry a call: the handle, or None where it failed.
        failures: Index of each failed call and its error.
        ids: Index of each failed call without a key and its job id.
    """

    def __init__(
        self,
        handles: list[JobHandle[Any] | None],
        failures: dict[int, Exception],
        ids: dict[int, str] | None = None,
    ) -> None:
        """Keep them, so that the caller can try the failed ones again."""
        first = next(iter(failures.items()))
        super().__init__(
            f"{len(failures)} of {len(handles)} jobs were not enqueued, as far as is known; "
            f"the first, call {first[0]}: {first[1]}"
        )
        self.handles: list[JobHandle[Any] | None] = handles
        self.failures: dict[int, Exception] = failures
        self.ids: dict[int, str] = ids or {}


class Client:
    """A producer's view of a deployed stack. Safe to share between threads.

    Args:
        manifest: What the stack is made of.
        store: Job table.
        queues: Queues.
        blobs: Large payloads and results.
        timers: One-time schedules, for delays over 15 minutes.
        clock: Time.
        rng: Job ids.
    """

    def __init__(
        self,
        manifest: Manifest,
        *,
        store: JobStore,
        queues: Queues,
        blobs: Blobs,
        timers: Timers,
        clock: Clock | None = None,
        rng: random.Random | None = None,
    ) -> None:
        """Keep the ports; nothing is called."""
        self.manifest: Manifest = manifest
        self.store: JobStore = store
        self.queues: Queues = queues
        self.blobs: Blobs = blobs
        self.timers: Timers = timers
        self.clock: Clock = clock or SystemClock()
        self._sender = Sender(manifest, store, queues, blobs, timers, self.clock, rng or system_random())
        self._manual_retry = ManualRetry(manifest, store, queues, self.clock, self.job)

    @classmethod
    def from_stack(cls, stack: str | None = None) -> Client:
        """Connect to a deployed stack with the user's ordinary AWS configuration.

        Args:
            stack: The stack's name; None takes `OFFLOAD_STACK`, else `offload`.

        Raises:
            Refused: Not deployed here, no credentials, or no permission; says what to do.
            Unavailable: AWS (or the local engine) does not answer.
        """
        from offload.aws import manifests, sdk
        from offload.aws.blobs import S3Blobs
        from offload.aws.queues import SqsQueues
        from offload.aws.table import JobTable
        from offload.aws.timers import SchedulerTimers

        manifest = manifests.read(stack or os.environ.get("OFFLOAD_STACK", DEFAULT_STACK))
        return cls(
            manifest,
            store=JobTable(sdk.caller("dynamodb"), manifest.table),
            queues=SqsQueues(sdk.caller("sqs"), account=manifest.account, region=manifest.region),
            blobs=S3Blobs(manifest.bucket),
            timers=SchedulerTimers(manifest),
        )

    def enqueue(self, task: str, payload: dict[str, Any], **options: Unpack[EnqueueOptions]) -> JobHandle[Any]:
        """Enqueue a job by the task's name, without importing it.

        Args:
            task: The task's name.
            payload: Arguments by name, as JSON values; the worker checks them against the task's signature.
            options: As `Task.options` takes them: delay, priority, key, tenant, expires, id.

        Raises:
            UnknownTask: Not deployed in this stack.
            PayloadError: The payload is not a JSON object.
            DefinitionError: An option is wrong.
            Unavailable: The queue did not answer. The job may have been enqueued all the same; to try again is
                safe under the same `id` or `key`.
        """
        if not isinstance(payload, dict):
            raise PayloadError(f"payload must be an object with the arguments by name, not {type(payload).__name__}")
        return self.send(EnqueueRequest(task, payload, CheckedOptions.read(options)))

    def send(self, request: EnqueueRequest) -> JobHandle[Any]:
        """Enqueue one job; see `enqueue`."""
        call_hooks("before_enqueue", request)
        try:
            handle = self._handle(request, self._sender.send(request))
        except BaseException as error:
            call_hooks("after_enqueue", request, None, error)
            raise
        call_hooks("after_enqueue", request, handle, None)
        return handle

    def send_many(self, requests: Sequence[EnqueueRequest]) -> list[JobHandle[Any]]:
        """Enqueue many jobs, ten messages a request.

        Raises:
            PartlyEnqueued: Some are not known to be accepted; it says which, and how to try again.
        """
        for request in requests:
            call_hooks("before_enqueue", request)
        try:
            sent = self._sender.send_many(requests)
        except BaseException as error:
            for request in requests:
                call_hooks("after_enqueue", request, None, error)
            raise
        handles = [
            self._handle(request, sent.jobs[index]) if index in sent.jobs else None
            for index, request in enumerate(requests)
        ]
        for index, (request, handle) in enumerate(zip(requests, handles, strict=True)):
            call_hooks("after_enqueue", request, handle, sent.failures.get(index))
        if sent.failures:
            failed = sorted(sent.failures)
            unsent = {index: sent.ids[index] for index in failed if index in sent.ids}
            raise PartlyEnqueued(handles, {index: sent.failures[index] for index in failed}, unsent)
        return [handle for handle in handles if handle is not None]

    def _handle(self, request: EnqueueRequest, sent: Sent) -> JobHandle[Any]:
        return JobHandle(sent.job_id, request.task, self, request.read_result, created=sent.created)

    def job(self, job_id: str, task: str | None = None) -> Job:
        """Read a job's record.

        Args:
            job_id: Its id.
            task: The task it was accepted for, where that is known: then no record means that it is not written yet
                (a message goes before its record, and suffices), and the job is PENDING.

        Raises:
            UnknownJob: There is none.
        """
        record = self.store.get(job_id)
        if record is None and task is not None:
            return Job(job_id, task, State.PENDING)
        if record is None or "state" not in record:
            raise UnknownJob(f"no job {job_id!r} in stack {self.manifest.stack!r}: check the id; records live 35 days")
        return Job.read(record)

    def handle(self, job_id: str) -> JobHandle[Any]:
        """Return a handle of a job by its id; its task is read from the record.

        Raises:
            UnknownJob: There is none.
        """
        return JobHandle(job_id, self.job(job_id).task, self, _accepted=False)

    def wait(self, job_id: str, timeout: float | None = None, task: str | None = None) -> Job:
        """Wait until a job has ended, looking more and more rarely (0.1 s up to every 2 s).

        Args:
            job_id: Its id.
            timeout: Seconds; None waits as long as it takes.
            task: As in `job`.

        Raises:
            ResultTimeout: It has not ended within `timeout` seconds; it goes on.
            UnknownJob: There is no such job.
        """
        deadline = None if timeout is None else self.clock.now() + timeout * 1000
        pause = _FIRST_LOOK
        while True:
            job = self.job(job_id, task)
            if job.state.ended:
                return job
            left = None if deadline is None else (deadline - self.clock.now()) / 1000
            if left is not None and left <= 0:
                raise ResultTimeout(f"job {job_id} is {job.state} after {timeout:g} s; it goes on")
            self.clock.sleep(pause if left is None else min(pause, left))
            pause = min(pause * 1.5, _LAST_LOOK)

    def result_text(self, job: Job) -> str:
        """Read a succeeded job's result as JSON text.

        Raises:
            ResultExpired: It is past its `result_ttl`.
        """
        job.check_result_life(self.clock.now())
        if job.result_ref is not None:
            return self.blobs.get(job.result_ref).decode()
        return job.result if job.result is not None else "null"

    def retry(self, job_id: str, timeout: float = LOOK_FOR_SECONDS, task: str | None = None) -> Job:
        """Run a job again by hand: one that failed, or one that waits for its next attempt.

        A failed job's dead letter is sent again: fresh attempts, history kept. That takes a read; for each look
        through the dead-letter queue (the job's lane first) a receive for every ten messages, one that finds no more,
        and a change of visibility for each message put back; then a send, a write and a delete. A message that just
        failed is still on its way there, so the look is repeated, with a read each time.

        A job that waits is made due and its message visible: a read, a write and a change of visibility.

        Args:
            job_id: Its id.
            timeout: Seconds to look for a failed job's message.
            task: As in `job`.

        Returns:
            The record afterwards: PENDING, or RETRYING and due; a worker may be faster.

        Raises:
            WrongState: It neither failed nor waits for its next attempt.
            NoDeadLetter: It failed, but its message is not in the dead-letter queue, or not yet.
            UnknownJob: There is no such job.
        """
        return self._manual_retry.retry(job_id, timeout, task)

    def cancel(self, job_id: str, task: str | None = None) -> Job:
        """Cancel a job: one that waits never starts, a running one is asked to stop, an ended one stays as it is.

        Args:
            job_id: Its id.
            task: As in `job`; a job without a record gets one that says CANCELLED, which its worker heeds.

        Returns:
            The record afterwards.

        Raises:
            UnknownJob: There is no such job.
        """
        for _ in range(MOST_CONFLICTS):
            now = self.clock.now()
            try:
                return Job.read(self.store.apply(cancel_waiting(job_id, now)))
            except Conflict as conflict:
                record: JobRecord | None = conflict.item
            if record is None and task is not None:
                write = cancel_unrecorded(task, job_id, now)
            elif record is None or "state" not in record:
                raise UnknownJob(f"no job {job_id!r} in stack {self.manifest.stack!r}")
            elif (request := request_cancel(record, now)) is None:
                return Job.read(record)
            else:
                write = request
            try:
                return Job.read(self.store.apply(write))
            except Conflict:
                continue  # it changed state meanwhile; look again
        raise Unavailable(f"job {job_id} keeps changing; try again")
