"""The worker: one invocation, one batch of messages, each ended, handed back or on its way to the DLQ."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from offload.core import claiming, ending
from offload.core import context as contexts
from offload.core.delivery import Delivery
from offload.core.errors import (
    DefinitionError,
    LeaseLost,
    MessageError,
    OffloadError,
    PayloadError,
    Refused,
    Unavailable,
    UnknownTask,
)
from offload.core.following import follow_up_id, follow_up_payload, followed, marked
from offload.core.jobs import Item, State
from offload.core.messages import Message, job_id_of
from offload.core.producing import Options, Order, producer
from offload.core.writes import Conflict
from offload.runtime.failures import explain
from offload.runtime.invocation import Invocation
from offload.runtime.limits import Usage, run_async, soft_limit
from offload.runtime.persistence import Deferred, Died, HandedBack, JobRecord, Turn
from offload.runtime.powertools import (
    BatchProcessor,
    EventType,
    IdempotencyHandler,
    IdempotencyPersistenceLayerError,
    process_partial_response,
)
from offload.runtime.returns import Receipt, Returns
from offload.runtime.running import RunningJob

if TYPE_CHECKING:
    import random
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

    from offload.core.clock import Clock
    from offload.core.ports import Blobs, JobStore, Queues
    from offload.core.tasks import Task
    from offload.runtime.telemetry import Telemetry


class _NotDone(Exception):
    pass


class Worker:
    """A Lambda handler for one task.

    Args:
        task: The task.
        store: Job table.
        queues: Queues.
        blobs: Large payloads and results.
        clock: Time.
        rng: Jitter and lease tokens.
        telemetry: Log and metrics.
        max_receives: The queues' `maxReceiveCount`.
    """

    def __init__(
        self,
        task: Task[Any, Any],
        *,
        store: JobStore,
        queues: Queues,
        blobs: Blobs,
        clock: Clock,
        rng: random.Random,
        telemetry: Telemetry,
        max_receives: int,
    ) -> None:
        """Keep the ports; nothing is called before the first invocation."""
        self._task, self._store, self._blobs = task, store, blobs
        self._clock, self._rng, self._telemetry = clock, rng, telemetry
        self._returns = Returns(queues, clock=clock, rng=rng, telemetry=telemetry, max_receives=max_receives)

    soft_limit: Callable[[float], AbstractContextManager[Any]] = staticmethod(soft_limit)
    """What raises `SoftTimeLimitExceeded` in a run; a simulation has other clocks."""

    def __call__(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
        """Handle one batch and report the messages that are not done.

        Returns:
            The partial batch response: `{"batchItemFailures": [{"itemIdentifier": message_id}, ...]}`.
        """
        batch = _Batch(self._handle, Invocation(context, clock=self._clock, rng=self._rng))
        try:
            response = process_partial_response(
                event=event, record_handler=batch.handle, processor=batch, context=context
            )
            return dict(response)
        finally:
            self._telemetry.flush()

    def _handle(self, record: SQSRecord, invocation: Invocation, turn: Turn) -> bool:
        """Handle one message; True means done, False means handed back. Raises `Deferred` for after the batch."""
        self._telemetry.begin(record.message_id)
        try:
            receipt = Receipt.read(record)
            try:
                return self._decide(receipt, invocation, turn)
            except (Unavailable, Refused) as trouble:
                return self._returns.after_trouble(receipt, trouble)
        except Deferred:
            raise
        except Exception as fault:
            # A fault of our own, which the batch processor would only count: the message comes back by itself.
            self._telemetry.fault(fault)
            raise
        finally:
            self._telemetry.end()

    def _decide(self, receipt: Receipt, invocation: Invocation, turn: Turn) -> bool:
        job_id = job_id_of(receipt.body) or receipt.message_id
        token = invocation.token(receipt.message_id)
        self._telemetry.job(job_id)
        message = Message(payload=None)
        try:
            message = Message.decode(receipt.body)
            self._check(message)
        except (MessageError, UnknownTask) as wrong:
            return self._reject(self._delivery(receipt, job_id, message, token), receipt, wrong, readable=False)
        delivery = self._delivery(receipt, job_id, message, token)
        if message.expires_at is not None and self._clock.now() >= message.expires_at and self._expire(delivery):
            return True
        record = JobRecord(
            delivery,
            self._task,
            store=self._store,
            blobs=self._blobs,
            clock=self._clock,
            invocation=invocation,
            turn=turn,
            parked={"queue": receipt.queue, "receipt": receipt.handle},
        )
        if invocation.remaining_ms < invocation.needed_ms(self._task.settings.soft_limit):
            if turn > Turn.FIRST:
                record.give_back()
            self._telemetry.handed_back("not enough time left in this invocation")
            return self._returns.later(receipt, 0)
        try:
            arguments = self._task.signature.read(self._payload(message))
        except PayloadError as wrong:
            return self._reject(delivery, receipt, wrong, readable=True)
        if self._returns.nears_its_end(receipt) and self._starts(delivery) and self._returns.renew(receipt):
            self._telemetry.handed_back("few receives were left: renewed before its run")
            return True
        return self._run(delivery, receipt, record, arguments, invocation)

    def _starts(self, delivery: Delivery) -> bool:
        """Tell whether a delivery would start a run, as far as the table answers."""
        try:
            item = self._store.get(delivery.job_id)
        except (Unavailable, Refused) as trouble:
            self._telemetry.trouble(trouble)
            return False
        return claiming.startable(item, delivery, self._clock.now(), self._task.settings.retry.max_attempts)

    def _check(self, message: Message) -> None:
        message.check_hops()
        if message.task not in (None, self._task.name):
            raise UnknownTask(f"the message is for task {message.task!r}, but this queue serves {self._task.name!r}")

    def _delivery(self, receipt: Receipt, job_id: str, message: Message, token: str) -> Delivery:
        return Delivery(
            task=self._task.name,
            job_id=job_id,
            message_id=receipt.message_id,
            message=message,
            sent_at=receipt.sent_at,
            token=token,
        )

    def _payload(self, message: Message) -> dict[str, Any]:
        if message.payload is not None:
            return message.payload
        assert message.payload_ref is not None  # the contract has one of the two
        try:
            payload = json.loads(self._blobs.get(message.payload_ref))
        except Refused as gone:
            raise PayloadError(f"payload_ref: {gone}") from gone
        except (ValueError, RecursionError) as error:
            raise PayloadError(f"payload_ref: the object is not JSON: {error}") from error
        if not isinstance(payload, dict):
            raise PayloadError("payload_ref: the object must hold a JSON object with the arguments by name")
        return payload

    def _run(
        self,
        delivery: Delivery,
        receipt: Receipt,
        record: JobRecord,
        arguments: dict[str, Any],
        invocation: Invocation,
    ) -> bool:
        handler = IdempotencyHandler(
            function=self._call,
            function_payload={"id": delivery.job_id},
            config=invocation.config,
            persistence_store=record,
            function_args=(delivery, record, arguments, invocation),
            function_kwargs={},
        )
        try:
            handler.handle()
        except IdempotencyPersistenceLayerError as wrapped:
            return self._unrecorded(wrapped.__cause__, delivery, receipt, record)
        except Exception:  # noqa: BLE001, S110 - the task's own error, in the record by now, which says what follows
            pass
        self._telemetry.ended(record, receipt.sent_at, self._clock.now())
        if record.ended is State.RETRYING and record.due is not None:
            return self._returns.later(receipt, (record.due - self._clock.now()) / 1000)
        if record.ended is State.FAILED:
            return self._bury(delivery, receipt, record.after, named=True)
        self._follow(delivery, record.after)
        return True

    def _unrecorded(self, cause: BaseException | None, delivery: Delivery, receipt: Receipt, record: JobRecord) -> bool:
        """What a claim or a finish that was not written means for the message."""
        match cause:
            case HandedBack(verdict=claiming.Wait() as wait):
                self._telemetry.handed_back(wait.why)
                return self._returns.later(receipt, (wait.until - self._clock.now()) / 1000)
            case HandedBack():
                if record.ended is not None:
                    self._telemetry.ended(record, receipt.sent_at, self._clock.now())
                return self._bury(delivery, receipt, record.after, named=True)
            case LeaseLost():
                # The winner's outcome stands; this message is its, or a copy that will find the job ended.
                self._telemetry.handed_back("overtaken by another worker")
                return False
            case Deferred() | Unavailable() | Refused():
                raise cause
            case _:
                raise Refused(f"the job's outcome could not be recorded: {cause!r}") from cause

    def _call(self, delivery: Delivery, record: JobRecord, arguments: dict[str, Any], invocation: Invocation) -> None:
        """Run the user's function and keep its result as JSON text."""
        hard = invocation.remaining_ms / 1000
        # Even a first job that started late gets its soft limit before the hard one.
        soft = min(self._task.settings.soft_limit, hard - min(1.0, hard / 10))
        until = self._clock.now() + int(soft * 1000)
        job = RunningJob(delivery, record.item, store=self._store, clock=self._clock, until=until)
        record.running = job
        invocation.ran = True
        usage = Usage()
        token = contexts.enter(job)
        self._telemetry.started(job.attempt)
        try:
            if self._task.is_async:
                value = run_async(lambda: self._task.function(**arguments), soft)
            else:
                with self.soft_limit(soft):
                    value = self._task.function(**arguments)
            record.keep(self._task.signature.write_result(value))
        except Exception:
            raise
        except BaseException as death:
            raise Died(death) from death
        finally:
            contexts.leave(token)
            record.extra = {"usage": usage.measure()}

    def _follow(self, delivery: Delivery, item: Item) -> None:
        """Enqueue the follow-up an ended record names, and note that in the record.

        Raises:
            Unavailable: Not enqueued; the message comes back and this is tried again.
        """
        target = item.get("follow_up")
        if target is None:
            return
        try:
            follow_up = replace(delivery.message, hops=delivery.message.hops + 1)
            follow_up.check_hops()
            options = Options(id=follow_up_id(item), tenant=item.get("tenant"))
            order = Order(target, follow_up_payload(item), options, parent=delivery.job_id, hops=follow_up.hops)
            producer().send(order)
        except (MessageError, UnknownTask, DefinitionError, PayloadError) as wrong:
            self._telemetry.trouble(wrong)  # it can never be enqueued; how the job itself ended stands
        with suppress(Conflict):  # redriven meanwhile: that run names its own
            self._store.apply(followed(item))

    def _expire(self, delivery: Delivery) -> bool:
        try:
            self._store.apply(ending.expire(delivery, self._clock.now()))
        except Conflict:
            return False  # it has started before, or ended: the ordinary way decides
        self._telemetry.note("job expired before it could start")
        return True

    def _reject(self, delivery: Delivery, receipt: Receipt, wrong: OffloadError, *, readable: bool) -> bool:
        now = self._clock.now()
        try:
            write = ending.reject(delivery, explain(wrong), now, readable=readable)
            item = self._store.apply(marked(write, self._task.settings))
            self._telemetry.rejected(wrong)
        except Conflict as conflict:
            item = conflict.item or {}
            state = State(item.get("state", State.FAILED))
            if readable and state.terminal and state is not State.FAILED:
                return True  # a late copy of a job that has ended well
            if readable and state is State.RUNNING:
                return self._returns.later(receipt, (item.get("lease_until", now) + 1000 - now) / 1000)
            if state is not State.FAILED:
                item = {}  # the record is another message's: nothing follows from this one
            elif adopted := claiming.adoption(item, delivery):
                with suppress(Conflict):  # it was redriven meanwhile
                    self._store.apply(adopted)
        return self._bury(delivery, receipt, item, named=False)

    def _bury(self, delivery: Delivery, receipt: Receipt, item: Item, *, named: bool) -> bool:
        try:
            self._follow(delivery, item)
        except (Unavailable, Refused) as trouble:
            self._telemetry.trouble(trouble)
            return self._returns.linger(receipt)
        return self._returns.bury(receipt, named=named)


class _Batch(BatchProcessor):
    """Powertools' batch processor with our order: the most-received first, what was put off last."""

    def __init__(self, handle: Callable[..., bool], invocation: Invocation) -> None:
        super().__init__(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
        self._handle, self._invocation = handle, invocation
        self._turn = Turn.FIRST
        self._put_off: dict[Turn, list[dict[str, Any]]] = {turn: [] for turn in Turn}
        self._current: dict[str, Any] = {}

    def process(self) -> list[tuple[Any, ...]]:
        """Handle each record, then those that were put off."""
        self._put_off[Turn.FIRST] = sorted(self.records, key=_receives, reverse=True)
        outcomes: list[tuple[Any, ...]] = []
        for self._turn in Turn:
            outcomes += [self._one(record) for record in self._put_off[self._turn]]
        return outcomes

    def _one(self, record: dict[str, Any]) -> tuple[Any, ...]:
        self._current = record
        return tuple(self._process_record(record))

    def handle(self, record: SQSRecord) -> None:
        """Handle one record for `process`."""
        try:
            done = self._handle(record, self._invocation, self._turn)
        except Deferred as deferred:
            self._put_off[deferred.turn].append(self._current)
            return
        if not done:
            raise _NotDone


def _receives(record: dict[str, Any]) -> int:
    return int(record["attributes"]["ApproximateReceiveCount"])
