"""Claiming a job in the job table, as `core/jobs/claiming.py` decides."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, assert_never

from offload.core.errors import Unavailable
from offload.core.jobs import claiming
from offload.core.jobs.claiming import ClaimRequest
from offload.core.workflows.follow_ups import with_follow_up
from offload.core.writes import MOST_CONFLICTS, Conflict
from offload.runtime.outcomes import BatchPass, Claimed, HasEnded, HasFailed, NotNow, Postponed
from offload.runtime.rate_limiter import ComeBack, take_slot
from offload.runtime.rejections import Rejections

if TYPE_CHECKING:
    from offload.core.clock import Clock
    from offload.core.flow.rate_limit import RateLimit
    from offload.core.messages.delivery import Delivery
    from offload.core.ports import JobStore
    from offload.core.records import JobRecord
    from offload.core.tasks.settings import Settings
    from offload.core.writes import Write
    from offload.runtime.invocation import Invocation
    from offload.runtime.outcomes import NotClaimed

_LEASE_MARGIN_MS = 1_000
"""A lease ends this long after its invocation, so that no other worker takes over while this one is being stopped."""

_LOOK_AGAIN_MS = 1_000
"""How long a message waits whose job's record has changed again and again."""


class Claims:
    """Claims the jobs of one task."""

    def __init__(self, settings: Settings, store: JobStore, clock: Clock) -> None:
        """Keep what it needs."""
        self.settings, self.store, self.clock = settings, store, clock
        self.rejections = Rejections(settings, store, clock)

    def claim(self, delivery: Delivery, invocation: Invocation, batch_pass: BatchPass) -> Claimed | NotClaimed:
        """Claim a job for the rest of the invocation.

        Raises:
            Unavailable: The table did not answer. If it carried the claim out all the same, and `release` could not
                reach it either, an attempt is charged that never ran; nothing more can be known.
        """
        try:
            if self.settings.rate_limit is not None:
                instead = self._wait_for_slot(delivery, self.settings.rate_limit, invocation, batch_pass)
                if instead is not None:
                    return instead
            return self._claim(self._request(delivery, invocation.remaining_ms), invocation, batch_pass)
        except Unavailable:
            if batch_pass is BatchPass.FIRST:
                return Postponed(BatchPass.UNANSWERED_CLAIMS)
            self.release(delivery)
            raise

    def _wait_for_slot(
        self, delivery: Delivery, limit: RateLimit, invocation: Invocation, batch_pass: BatchPass
    ) -> Claimed | NotClaimed | None:
        """Wait until the rate limit lets the job start; what cannot start, or not soon, comes out as something else."""
        request = self._request(delivery, invocation.remaining_ms)
        record = self.store.get(delivery.job_id)
        expected = claiming.expect(record, request)
        if not isinstance(expected, claiming.Claim):
            return self._carry_out_unless_changed(expected, record or {}, delivery)
        if expected.after_crash and batch_pass is not BatchPass.AFTER_CRASH:
            return Postponed(BatchPass.AFTER_CRASH)
        spare = invocation.remaining_ms - invocation.needed_ms(self.settings.soft_limit)
        draw = invocation.rng.random()
        slot = take_slot(request, record, limit, self.store, spare_ms=spare, draw=draw)
        if isinstance(slot, ComeBack):
            return NotNow(slot.at, "waits for the rate limit")
        self.clock.sleep(max(0, slot - self.clock.now()) / 1000)
        return None

    def _claim(self, request: ClaimRequest, invocation: Invocation, batch_pass: BatchPass) -> Claimed | NotClaimed:
        """Try to claim, and again while the record's answer is that another claim may succeed."""
        write = claiming.claim(request)
        for _ in range(MOST_CONFLICTS):
            try:
                return Claimed(self._apply(write, invocation, batch_pass))
            except Conflict as conflict:
                record: JobRecord | None = conflict.item
            if record is None:
                continue  # deleted meanwhile: claim it anew
            decision = claiming.resolve_conflict(record, request)
            if not isinstance(decision, claiming.Claim):
                return self._carry_out_unless_changed(decision, record, request.delivery)
            if decision.after_crash and batch_pass is not BatchPass.AFTER_CRASH:
                return Postponed(BatchPass.AFTER_CRASH)
            write = decision.write
        return NotNow(request.now + _LOOK_AGAIN_MS, "the record keeps changing")

    def _apply(self, write: Write[JobRecord], invocation: Invocation, batch_pass: BatchPass) -> JobRecord:
        """Carry out a claim.

        A claim whose answer was lost may be in force. It is repeated under the same lease, so that the worker
        recognises it, but only when that delays no other message of the batch.
        """
        if batch_pass is BatchPass.FIRST:
            return self.store.apply(write)
        needed = invocation.needed_ms(self.settings.soft_limit)
        return invocation.repeat_until_answered(lambda: self.store.apply(write), spare_ms=needed)

    def _carry_out_unless_changed(
        self, decision: claiming.Decision, record: JobRecord, delivery: Delivery
    ) -> Claimed | NotClaimed:
        try:
            return self._carry_out(decision, record, delivery)
        except Conflict:
            return NotNow(self.clock.now(), "the record changed")

    def _carry_out(self, decision: claiming.Decision, record: JobRecord, delivery: Delivery) -> Claimed | NotClaimed:
        """Carry out a decision that is no claim.

        Raises:
            Conflict: The record has changed meanwhile.
        """
        match decision:
            case claiming.AlreadyClaimed():
                return Claimed(record)
            case claiming.Drop():
                return HasEnded(record)
            case claiming.Wait(until, why):
                return NotNow(until, why)
            case claiming.FailMessage(first):
                return HasFailed(record if first is None else self.store.apply(first))
            case claiming.Cancel(write):
                return HasEnded(self.store.apply(write), recorded_now=True)
            case claiming.Fail(write):
                ended = with_follow_up(write, self.settings.follow_ups)
                return HasFailed(self.store.apply(ended), error=ended.set["error"])
            case claiming.Reject(owner):
                return self.rejections.reject_taken(delivery, owner)
            case claiming.Claim():
                raise AssertionError(decision)
        assert_never(decision)

    def release(self, delivery: Delivery) -> None:
        """Undo this delivery's claim, if it is in force although its answer was lost.

        Raises:
            Unavailable: The table did not answer.
        """
        with suppress(Conflict):
            self.store.apply(claiming.release_claim(delivery, self.clock.now()))

    def expect(self, delivery: Delivery) -> claiming.Decision:
        """Tell what a delivery means for its job now; one read.

        Raises:
            Unavailable: The table did not answer.
        """
        return claiming.expect(self.store.get(delivery.job_id), self._request(delivery, 0))

    def _request(self, delivery: Delivery, remaining_ms: int) -> ClaimRequest:
        now = self.clock.now()
        return ClaimRequest(delivery, now, now + remaining_ms + _LEASE_MARGIN_MS, self.settings.retry.max_attempts)
