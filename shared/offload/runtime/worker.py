"""The worker: what happens to each message of an invocation.

`Worker._process` is the whole way of a message, step by step. Every decision on it is a pure function of
`offload.core`. The steps that speak to the job table are in `claims`, `runs` and `run_ends`; `message_returns`
acknowledges the message or returns it. How each step can come out is listed in `outcomes`.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, assert_never

from offload.core.errors import MessageError, PayloadError, Refused, Unavailable, UnknownTask
from offload.core.jobs import ending
from offload.core.jobs.state import State
from offload.core.messages.delivery import Delivery
from offload.core.messages.message import Message, job_id_for
from offload.core.writes import Conflict
from offload.runtime.batch import process_batch
from offload.runtime.claims import Claims
from offload.runtime.follow_ups import FollowUps
from offload.runtime.idempotency import ClaimRunEnd
from offload.runtime.invocation import Invocation
from offload.runtime.limits import soft_limit
from offload.runtime.message_returns import MessageReturns, log_service_error
from offload.runtime.outcomes import (
    Acknowledge,
    BatchPass,
    Disposition,
    HasEnded,
    HasFailed,
    LeaveHidden,
    NotNow,
    Postponed,
    Ready,
    Replaced,
    ReturnToQueue,
    RunEnded,
    RunOvertaken,
    RunRetries,
    ToDeadLetterQueue,
    Unreadable,
)
from offload.runtime.payloads import read_payload
from offload.runtime.rejections import Rejections
from offload.runtime.reports import Reports
from offload.runtime.run_ends import RunEnds
from offload.runtime.runs import Runs

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from offload.core.clock import Clock
    from offload.core.hooks import Hooks
    from offload.core.ports import Blobs, JobStore, Queues, ReceivedMessage
    from offload.core.records import JobRecord, MessageLocation
    from offload.core.tasks.task import AnyTask
    from offload.runtime.outcomes import BatchAnswer, EndOutcome, NotClaimed, Run

_log = logging.getLogger(__name__)


class Worker:
    """A Lambda handler for one task.

    Args:
        task: The task.
        store: Job table.
        queues: Queues.
        blobs: Large payloads and results.
        clock: Time.
        rng: Jitter and lease tokens.
        max_receives: The queues' `maxReceiveCount`.
        hooks: Hooks of this worker alone, called before the registered ones.
    """

    limit: Callable[[float], AbstractContextManager[Any]] = staticmethod(soft_limit)
    """What raises `SoftTimeLimitExceeded` in a run; a simulation has other clocks."""

    def __init__(
        self,
        task: AnyTask[Any, Any],
        *,
        store: JobStore,
        queues: Queues,
        blobs: Blobs,
        clock: Clock,
        rng: random.Random,
        max_receives: int,
        hooks: Sequence[Hooks] = (),
    ) -> None:
        """Keep the ports; nothing is requested before the first invocation."""
        self._task, self._store, self._blobs = task, store, blobs
        self._clock, self._rng = clock, rng
        self._claims = Claims(task.settings, store, clock)
        self._runs = Runs(task, store, blobs, clock, hooks, self.limit)
        self._run_ends = RunEnds(task.settings, store, clock)
        self._rejections = Rejections(task.settings, store, clock)
        self._follow_ups = FollowUps(store)
        self._returns = MessageReturns(queues, clock, rng, max_receives)
        self._reports = Reports(task.name, hooks)
        self._reports.process_started()

    def __call__(self, event: dict[str, Any], lambda_context: Any) -> dict[str, Any]:
        """Handle one batch and report the messages that are not done.

        Returns:
            The partial batch response: `{"batchItemFailures": [{"itemIdentifier": message_id}, ...]}`.
        """
        invocation = Invocation(lambda_context, clock=self._clock, rng=self._rng)
        try:
            return process_batch(
                event,
                lambda_context,
                lambda received, batch_pass: self._handle(received, invocation, batch_pass),
                self.report_defect,
            )
        finally:
            self._reports.invocation_ended()

    def _handle(
        self, received: ReceivedMessage, invocation: Invocation, batch_pass: BatchPass
    ) -> BatchAnswer | Postponed:
        """Handle one message, whatever a service does."""
        try:
            disposition = self._process(received, invocation, batch_pass)
        except (Unavailable, Refused) as error:
            log_service_error(error, job_id_for(received), received.message_id)
            disposition = self._returns.after_service_error(received, error)
        return self._returns.carry_out(disposition, received)

    def report_defect(self, defect: Exception, message_id: str) -> None:
        """Log a defect of this library; the message comes back by itself."""
        _log.critical("the worker failed on a message", extra={"message_id": message_id}, exc_info=defect)

    def _process(self, received: ReceivedMessage, invocation: Invocation, batch_pass: BatchPass) -> Disposition:
        """Take one message through all its steps, and decide what becomes of it.

        Raises:
            Unavailable: A service did not answer.
            Refused: A service refused a request.
        """
        # 1. Decode: what breaks the contract, or is meant for another task, can never run.
        delivery = self._decode(received, invocation)
        if isinstance(delivery, Unreadable):
            return self._after(self._rejections.reject_broken(*delivery), delivery.delivery, received)

        # 2. Check whatever can be checked before an attempt is charged.
        try:
            checked = self._check(delivery, received, invocation)
        except (Unavailable, Refused):
            self._release_unanswered(delivery, batch_pass)
            raise
        if not isinstance(checked, Ready):
            self._release_unanswered(delivery, batch_pass)
            return self._after(checked, delivery, received)

        # 3, 4, 5. Claim the job, run its function, record the end: one after the other, by Powertools' idempotency.
        steps = ClaimRunEnd(
            claim=lambda: self._claims.claim(delivery, invocation, batch_pass),
            run=lambda record: self._runs.run(delivery, record, checked.arguments, invocation),
            end=lambda record, run: self._record_end(delivery, record, run, invocation, received),
        )
        outcome = steps.take(delivery.job_id, invocation.context)

        # 6. Acknowledge the message, return it, or let it go to the dead-letter queue.
        return self._after(outcome, delivery, received)

    def _decode(self, received: ReceivedMessage, invocation: Invocation) -> Delivery | Unreadable:
        """Read a message. The delivery of a body that cannot be decoded has an empty message and the job's id."""
        message, broken = Message(payload=None), None
        try:
            message = Message.decode(received.body)
            message.check_hops()
            if message.task not in (None, self._task.name):
                raise UnknownTask(  # noqa: TRY301 - one of several things that break it
                    f"the message is for task {message.task!r}, but this queue serves {self._task.name!r}"
                )
        except (MessageError, UnknownTask) as error:
            broken = error
        delivery = Delivery(
            task=self._task.name,
            job_id=job_id_for(received),
            message_id=received.message_id,
            message=message,
            sent_at=received.sent_at,
            lease=invocation.lease_for(received.message_id),
        )
        return delivery if broken is None else Unreadable(delivery, broken)

    def _release_unanswered(self, delivery: Delivery, batch_pass: BatchPass) -> None:
        """Release the claim that an earlier pass over the batch may have made although its answer was lost."""
        if batch_pass is not BatchPass.FIRST:
            self._claims.release(delivery)

    def _check(
        self, delivery: Delivery, received: ReceivedMessage, invocation: Invocation
    ) -> Ready | HasEnded | HasFailed | NotNow | Replaced:
        """Tell whether anything speaks against a run now."""
        expired = self._end_if_expired(delivery)
        if expired is not None:
            return expired
        if not invocation.has_time_for(self._task.settings.soft_limit):
            return NotNow(self._clock.now(), "not enough time left in this invocation")
        try:
            arguments = self._task.signature.read(read_payload(delivery.message, self._blobs))
        except PayloadError as misfit:
            return self._rejections.reject_misfit(delivery, misfit)
        return Replaced() if self._replace_before_run(delivery, received) else Ready(arguments)

    def _end_if_expired(self, delivery: Delivery) -> HasEnded | None:
        """End a job whose time was over before it started; None when it has time, or has started before."""
        expires_at = delivery.message.expires_at
        if expires_at is None or self._clock.now() < expires_at:
            return None
        try:
            record = self._store.apply(ending.end_expired(delivery, self._clock.now()))
        except Conflict:
            return None  # it has started before, or ended: the claim decides
        return HasEnded(record, recorded_now=True)

    def _replace_before_run(self, delivery: Delivery, received: ReceivedMessage) -> bool:
        """Replace a message by a copy when its job would start a run in the message's last receives."""
        if not self._returns.is_near_last_receive(received):
            return False
        try:
            starts = self._claims.would_start(delivery)
        except (Unavailable, Refused) as error:
            log_service_error(error, delivery.job_id, delivery.message_id)
            return False
        return starts and self._returns.replace(received)

    def _record_end(
        self, delivery: Delivery, record: JobRecord, run: Run, invocation: Invocation, received: ReceivedMessage
    ) -> EndOutcome:
        """Record the end of a run, and tell the hooks, whether that succeeds or not."""
        message: MessageLocation = {"queue": received.queue, "receipt": received.receipt}
        try:
            outcome = self._run_ends.write_end(delivery, record, run, invocation, message)
        except Exception:
            self._reports.run_ended(delivery, record, run, None)
            raise
        self._reports.run_ended(delivery, record, run, outcome)
        return outcome

    def _after(
        self, outcome: NotClaimed | Replaced | EndOutcome, delivery: Delivery, received: ReceivedMessage
    ) -> Disposition:
        """Decide what becomes of a message whose job came out like this, and enqueue what follows the job's end."""
        self._reports.job_came_out(outcome, delivery)
        match outcome:
            case Postponed():
                return outcome
            case NotNow(until, why):
                return ReturnToQueue((until - self._clock.now()) / 1000, why)
            case RunRetries(due):
                return ReturnToQueue((due - self._clock.now()) / 1000, "its next attempt is due then")
            case RunOvertaken():
                # The other worker received this message or a copy of it. When this message is received again, the job
                # has ended, and the message is dropped.
                return LeaveHidden()
            case Replaced():
                return Acknowledge()
            case HasFailed(record, _, must_name_job):
                return self._let_go(record, delivery, received, must_name_job=must_name_job)
            case RunEnded(State.FAILED, record):
                return self._let_go(record, delivery, received, must_name_job=True)
            case RunEnded(_, record) | HasEnded(record):
                self._follow_ups.enqueue(delivery, record)
                return Acknowledge()
        assert_never(outcome)

    def _let_go(
        self, record: JobRecord, delivery: Delivery, received: ReceivedMessage, *, must_name_job: bool
    ) -> Disposition:
        """Let a failed message go to the dead-letter queue, once what follows its job's end is enqueued.

        While the follow-up cannot be enqueued the message waits, but it is never replaced: after its last receive it
        goes to the dead-letter queue all the same.
        """
        try:
            self._follow_ups.enqueue(delivery, record)
        except (Unavailable, Refused) as error:
            log_service_error(error, delivery.job_id, delivery.message_id)
            return self._returns.after_service_error(received, error)._replace(may_be_replaced=False)
        return ToDeadLetterQueue(must_name_job)
