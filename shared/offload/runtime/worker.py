"""The worker: what happens to each message of an invocation.

`Worker._process` is the whole way of a message, step by step. Every decision on it is a pure function of
`offload.core`. The steps that speak to the job table are in `claims`, `runs` and `run_ends`; `message_returns`
acknowledges the message or returns it. How each step can come out is listed in `outcomes`.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any, assert_never

from offload.core.errors import MessageError, PayloadError, Refused, Unavailable, UnknownTask
from offload.core.hooks import NO_TIME_LEFT
from offload.core.jobs import ending
from offload.core.jobs.state import State
from offload.core.messages.delivery import Delivery
from offload.core.messages.message import Message, job_id_for
from offload.core.redaction import learning_secrets
from offload.core.tasks import context
from offload.core.writes import Conflict
from offload.runtime.batch import process_batch
from offload.runtime.claims import Claims
from offload.runtime.copies import Copies
from offload.runtime.follow_ups import FollowUps
from offload.runtime.forks import ChildrenEnd
from offload.runtime.idempotency import ClaimRunEnd
from offload.runtime.invocation import Invocation
from offload.runtime.limits import SoftLimit
from offload.runtime.message_returns import MessageReturns, log_service_error
from offload.runtime.outcomes import (
    Acknowledge,
    BatchAnswer,
    BatchPass,
    Disposition,
    HasEnded,
    HasFailed,
    LeaveHidden,
    NotNow,
    Postponed,
    Ready,
    ReturnToQueue,
    RunEnded,
    RunOvertaken,
    RunRetries,
    ToDeadLetterQueue,
    Unreadable,
)
from offload.runtime.payloads import read_payload
from offload.runtime.rate_limiter import leave
from offload.runtime.rejections import Rejections
from offload.runtime.replacements import Replacements
from offload.runtime.reports import Reports
from offload.runtime.run_ends import RunEnds
from offload.runtime.runs import Runs

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from offload.core.clock import Clock
    from offload.core.hooks import Hooks
    from offload.core.ports import Blobs, JobStore, Queues, ReceivedMessage, Timers
    from offload.core.records import JobRecord
    from offload.core.tasks.task import AnyTask
    from offload.runtime.outcomes import EndOutcome, NotClaimed, Run

_log = logging.getLogger(__name__)


class Worker:
    """A Lambda handler for one task.

    Args:
        task: The task.
        store: Job table.
        queues: Queues.
        blobs: Large payloads and results.
        timers: One-time schedules, for waits of more than 15 minutes.
        clock: Time.
        rng: Jitter and lease tokens.
        hooks: Hooks of this worker alone, called before the registered ones.
    """

    limit: type[SoftLimit] = SoftLimit
    """What raises `SoftTimeLimitExceeded` in a run; a simulation has other clocks."""

    def __init__(
        self,
        task: AnyTask[Any, Any],
        *,
        store: JobStore,
        queues: Queues,
        blobs: Blobs,
        timers: Timers,
        clock: Clock,
        rng: random.Random,
        hooks: Sequence[Hooks] = (),
    ) -> None:
        """Keep the ports; nothing is requested before the first invocation."""
        self._task, self._store, self._blobs = task, store, blobs
        self._clock, self._rng = clock, rng
        self._claims = Claims(task.settings, store, clock)
        self._runs = Runs(task, store, blobs, clock, hooks, self.limit)
        self._run_ends = RunEnds(task.settings, store, clock)
        self._rejections = Rejections(task.settings, store, clock)
        self._follow_ups = FollowUps(store, blobs, clock)
        copies = Copies(task.name, queues, timers, blobs, clock)
        self._returns = MessageReturns(queues, copies, clock, rng, soft_limit=task.settings.soft_limit)
        self._reports = Reports(task.name, hooks)
        self._replacements = Replacements(task, self._claims, self._returns, clock, self._reports, self.report_defect)
        with context.worker():
            self._reports.process_started()

    def __call__(self, event: dict[str, Any], lambda_context: Any) -> dict[str, Any]:
        """Handle one batch and report the messages that are not done.

        Returns:
            The partial batch response: `{"batchItemFailures": [{"itemIdentifier": message_id}, ...]}`.
        """
        invocation = Invocation(lambda_context, clock=self._clock, rng=self._rng)
        with context.worker():
            try:
                # 0. Replace: before anything runs, copies replace the messages that a dying worker would use up.
                replaced = self._replacements.replace(event, partial(self._decode, invocation=invocation), invocation)
                return process_batch(
                    event,
                    lambda_context,
                    lambda received, batch_pass: (
                        BatchAnswer.DONE
                        if received.message_id in replaced
                        else self._handle(received, invocation, batch_pass)
                    ),
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
        if isinstance(disposition, ReturnToQueue):
            self._reports.message_returned(job_id_for(received), disposition.why)
        return self._returns.carry_out(disposition, received, invocation)

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
            checked = self._check(delivery, invocation)
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
            end=lambda record, run: self._record_end(delivery, record, run, invocation),
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

    def _check(self, delivery: Delivery, invocation: Invocation) -> Ready | HasEnded | HasFailed | NotNow:
        """Tell whether anything speaks against a run now."""
        expired = self._end_if_expired(delivery)
        if expired is not None:
            return expired
        if not invocation.has_time_for(self._task.settings.soft_limit):
            return NotNow(self._clock.now(), NO_TIME_LEFT)
        try:
            payload = read_payload(delivery, self._blobs, self._clock.now())
            with ChildrenEnd(), learning_secrets():
                arguments = self._task.signature.read(payload)
        except PayloadError as misfit:
            return self._rejections.reject_misfit(delivery, misfit)
        return Ready(arguments)

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

    def _record_end(self, delivery: Delivery, record: JobRecord, run: Run, invocation: Invocation) -> EndOutcome:
        """Record the end of a run, and tell the hooks, whether that succeeds or not."""
        try:
            outcome = self._run_ends.write_end(delivery, record, run, invocation)
        except Exception:
            self._reports.run_ended(delivery, record, run, None)
            raise
        self._reports.run_ended(delivery, record, run, outcome)
        return outcome

    def _after(self, outcome: NotClaimed | EndOutcome, delivery: Delivery, received: ReceivedMessage) -> Disposition:
        """Decide what becomes of a message whose job came out like this, and enqueue what follows the job's end."""
        self._reports.job_came_out(outcome, delivery)
        if isinstance(outcome, HasEnded | HasFailed) and outcome.is_new:
            leave(outcome.record, self._store)
        match outcome:
            case Postponed():
                return outcome
            case NotNow(until, why):
                return ReturnToQueue(until, why)
            case RunRetries(due):
                return ReturnToQueue(due, "its next attempt is due then")
            case RunOvertaken():
                # The other worker received this message or a copy of it. When this message is received again, the job
                # has ended, and the message is dropped.
                return LeaveHidden()
            case HasFailed(record, must_name_job=must_name_job):
                self._enqueue_follow_up(delivery, record, received)
                return ToDeadLetterQueue(must_name_job)
            case RunEnded(State.FAILED, record):
                self._enqueue_follow_up(delivery, record, received)
                return ToDeadLetterQueue(must_name_job=True)
            case RunEnded(_, record) | HasEnded(record):
                self._enqueue_follow_up(delivery, record, received)
                return Acknowledge()
        assert_never(outcome)

    def _enqueue_follow_up(self, delivery: Delivery, record: JobRecord, received: ReceivedMessage) -> None:
        """Enqueue what follows a job's end; while that does not succeed, the message waits.

        Raises:
            Unavailable: As in `FollowUps.enqueue`.
            Refused: The same.
        """
        self._follow_ups.enqueue(delivery, record, may_wait=self._returns.has_another_receive(received))
