"""`Client`: enqueue jobs and ask after them.

The message is sent first and the record written after it. A crash between the two leaves a job that runs and whose
record its worker creates; the other order would leave a record without a message, PENDING for ever.
"""

from __future__ import annotations

import json
import logging
import os
from typing import TYPE_CHECKING, Any

from offload.client import retrying
from offload.client.keyed import name_job
from offload.core import cancelling, context, keys
from offload.core.clock import Clock, SystemClock, new_id, system_random
from offload.core.durations import seconds
from offload.core.ending import accept
from offload.core.errors import OffloadError, PayloadError, Refused, ResultTimeout, Unavailable, UnknownJob
from offload.core.handles import JobHandle
from offload.core.jobs import Job, State
from offload.core.manifest import DEFAULT_LANE, DEFAULT_STACK, Manifest, queue_name
from offload.core.messages import Message
from offload.core.ports import LONGEST_QUEUE_DELAY, Outgoing
from offload.core.producing import RETRY_TIMEOUT, Options, Order
from offload.core.writes import Conflict

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from offload.core.ports import Blobs, JobStore, Queues, Timers

_log = logging.getLogger(__name__)

INLINE_MESSAGE = 200_000
"""Bytes of message kept in the queue; SQS bills each 64 KB as a request and Scheduler takes at most 256 KB."""

_FIRST_LOOK, _LAST_LOOK = 0.1, 2.0
_ROUNDS = 5
"""Times a change is decided anew when others change the record meanwhile."""


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
        self.handles = handles
        self.failures = failures
        self.ids = ids or {}


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
        self.manifest = manifest
        self.store, self.queues, self.blobs, self.timers = store, queues, blobs, timers
        self.clock = clock or SystemClock()
        self._rng = rng or system_random()

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

    def enqueue(self, task: str, payload: dict[str, Any], **options: Any) -> JobHandle[Any]:
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
        return self.send(Order(task, payload, Options.read(options)))

    def send(self, order: Order) -> JobHandle[Any]:
        """Enqueue one job; see `enqueue`."""
        return self._send_one(order, order.options.id)

    def _send_one(self, order: Order, job_id: str | None) -> JobHandle[Any]:
        job_id = job_id or new_id(self._rng)
        if order.options.key is not None:
            return self._send_once(order, order.options.key, job_id)
        self._send(order, job_id)
        return JobHandle(job_id, order.task, self, order.read_result)

    def send_many(self, orders: Sequence[Order]) -> list[JobHandle[Any]]:
        """Enqueue many jobs, ten messages a request.

        Raises:
            PartlyEnqueued: Some are not known to be accepted; it says which, and how to try again.
        """
        now = self.clock.now()
        ids: dict[int, str] = {}
        handles: list[JobHandle[Any] | None] = [None] * len(orders)
        failures: dict[int, Exception] = {}
        alone: list[int] = []
        batches: dict[str, list[tuple[int, str, Message, Outgoing]]] = {}
        # Whatever is wrong with an order shows here, before anything is sent.
        for index, order in enumerate(orders):
            queue, delay = self._queue(order), _delay(order.options)
            if order.options.key is not None:
                alone.append(index)
                continue
            job_id = ids[index] = order.options.id or new_id(self._rng)
            if delay > LONGEST_QUEUE_DELAY:
                alone.append(index)
                continue
            message = self._message(order, job_id, now)
            outgoing = Outgoing(message.encode(), delay=_whole(delay), group=message.group)
            batches.setdefault(queue, []).append((index, job_id, message, outgoing))
        for index in alone:
            try:
                handles[index] = self._send_one(orders[index], ids.get(index))
            except OffloadError as error:
                failures[index] = error
        for queue, entries in batches.items():
            answers = self.queues.send_batch(queue, [entry[3] for entry in entries])
            for (index, job_id, message, outgoing), answer in zip(entries, answers, strict=True):
                if isinstance(answer, Exception):
                    failures[index] = answer
                    continue
                self._record(orders[index], job_id, message, now, outgoing.delay)
                handles[index] = JobHandle(job_id, orders[index].task, self, orders[index].read_result)
        if failures:
            failed = sorted(failures)
            unsent = {index: ids[index] for index in failed if index in ids}
            raise PartlyEnqueued(handles, {index: failures[index] for index in failed}, unsent)
        return [handle for handle in handles if handle is not None]

    def _send_once(self, order: Order, key: str, fresh: str) -> JobHandle[Any]:
        """Enqueue under the job id `fresh`, unless the key names a job already."""
        slot = keys.slot_of(order.task, key)
        named = name_job(self.store, self.clock, slot, fresh)
        if not named.sent:
            self._send(order, named.job_id)
            try:
                self.store.apply(keys.confirm(slot, named.job_id))
            except (Conflict, Unavailable, Refused):
                _log.warning(
                    "key of job %s not confirmed; a later use may send its message again, harmlessly", named.job_id
                )
        return JobHandle(named.job_id, order.task, self, order.read_result, created=named.created)

    def _send(self, order: Order, job_id: str) -> None:
        now = self.clock.now()
        queue = self._queue(order)
        message = self._message(order, job_id, now)
        delay = _delay(order.options)
        if delay > LONGEST_QUEUE_DELAY:
            self.timers.send_at(job_id, queue, message.encode(), now + int(delay * 1000))
        else:
            self.queues.send(queue, Outgoing(message.encode(), delay=_whole(delay), group=message.group))
        self._record(order, job_id, message, now, delay)

    def _record(self, order: Order, job_id: str, message: Message, now: int, delay: float) -> None:
        due = now + int(delay * 1000) if delay else None
        try:
            self.store.apply(accept(order.task, job_id, message, now, due=due, max_attempts=order.max_attempts))
        except Conflict:
            pass  # its worker was faster
        except (Unavailable, Refused) as trouble:
            # The job is accepted and will run; an error here would make the caller enqueue it twice.
            _log.warning("job %s was enqueued, but its record waits for the worker: %s", job_id, trouble)

    def _queue(self, order: Order) -> str:
        lanes = self.manifest.lanes(order.task)
        order.options.check_lane(order.task, lanes)
        return queue_name(self.manifest.stack, order.task, order.options.priority or DEFAULT_LANE)

    def _message(self, order: Order, job_id: str, now: int) -> Message:
        options, running = order.options, context.running()
        expires = options.expires
        message = Message(
            payload=order.payload,
            id=job_id,
            task=order.task,
            key=options.key,
            tenant=options.tenant or (running.tenant if running else None),
            lane=options.priority,
            expires_at=None if expires is None else now + int(seconds(expires, field="expires") * 1000),
            enqueued_at=now,
            parent=running.id if running else order.parent,
            hops=running.hops + 1 if running else order.hops,
        )
        try:
            body = message.encode().encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise PayloadError(f"{order.task}: the payload cannot be written as JSON: {error}") from error
        if len(body) <= INLINE_MESSAGE:
            return message
        ref = self.blobs.put(f"payloads/{order.task}/{job_id}.json", json.dumps(order.payload).encode())
        return message.with_payload_at(ref)

    def job(self, job_id: str, task: str | None = None) -> Job:
        """Read a job's record.

        Args:
            job_id: Its id.
            task: The task it was accepted for, where that is known: then no record means that it is not written yet
                (a message goes before its record, and suffices), and the job is PENDING.

        Raises:
            UnknownJob: There is none.
        """
        item = self.store.get(job_id)
        if item is None and task is not None:
            return Job(job_id, task, State.PENDING)
        if item is None or "state" not in item:
            raise UnknownJob(f"no job {job_id!r} in stack {self.manifest.stack!r}: check the id; records live 35 days")
        return Job.read(item)

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
            if job.state.terminal:
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

    def retry(self, job_id: str, timeout: float = RETRY_TIMEOUT, task: str | None = None) -> Job:
        """Run a job again by hand: one that failed, or one that waits for its next attempt.

        A failed job's dead letter is brought back: fresh attempts, history kept. That takes a read; for each look
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
        return retrying.retry(self, job_id, timeout, task)

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
        for _ in range(_ROUNDS):
            now = self.clock.now()
            try:
                return Job.read(self.store.apply(cancelling.cancel(job_id, now)))
            except Conflict as conflict:
                item = conflict.item
            if item is None and task is not None:
                write = cancelling.cancel_unrecorded(task, job_id, now)
            elif item is None or "state" not in item:
                raise UnknownJob(f"no job {job_id!r} in stack {self.manifest.stack!r}")
            elif (request := cancelling.request_cancel(item, now)) is None:
                return Job.read(item)
            else:
                write = request
            try:
                return Job.read(self.store.apply(write))
            except Conflict:
                continue  # it changed state meanwhile; look again
        raise Unavailable(f"job {job_id} keeps changing; try again")


def _delay(options: Options) -> float:
    return 0.0 if options.delay is None else seconds(options.delay, field="delay")


def _whole(delay: float) -> int:
    return -int(-delay // 1)
