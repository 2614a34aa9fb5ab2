"""Rejecting messages that can never run: their jobs fail without an attempt."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from offload.core.errors import IdTaken, UnknownTask
from offload.core.jobs.claiming import AFTER_LEASE_MS, is_own, note_replacement
from offload.core.jobs.ending import end_rejected
from offload.core.jobs.state import State
from offload.core.workflows.follow_ups import with_follow_up
from offload.core.writes import Conflict
from offload.runtime.failures import explain
from offload.runtime.outcomes import HasEnded, HasFailed, NotNow

if TYPE_CHECKING:
    from offload.core.clock import Clock
    from offload.core.errors import OffloadError
    from offload.core.messages.delivery import Delivery
    from offload.core.ports import JobStore
    from offload.core.records import JobRecord
    from offload.core.tasks.settings import Settings


class Rejections:
    """Rejects the messages of one task.

    A message may name a job id that belongs to another task. That task's job stays as it is, and the message's failure
    is recorded under an id of its own (`Delivery.apart`).
    """

    def __init__(self, settings: Settings, store: JobStore, clock: Clock) -> None:
        """Keep what it needs."""
        self.settings, self.store, self.clock = settings, store, clock

    def reject_broken(self, delivery: Delivery, error: OffloadError) -> HasFailed:
        """Record that a message breaks the contract; a job of the same id that has started stays as it is.

        The message itself stays as it is, so that somebody can look at it in the dead-letter queue. A message for
        another task takes no job id: sent again to the right queue, it is to run under this id. The id of a copy may be
        that of the message itself, which then has failed under it before.

        Raises:
            Unavailable: The table did not answer.
        """
        if isinstance(error, UnknownTask) and delivery.job_id not in delivery.message_ids:
            delivery = delivery.apart()
        try:
            return self._fail(delivery, error, readable=False)
        except Conflict as conflict:
            record: JobRecord | None = conflict.item
        if record is not None and not is_own(record, delivery):
            return self._fail_apart(delivery, error)
        return self._known_failure(record, delivery)

    def reject_taken(self, delivery: Delivery, owner: str) -> HasFailed:
        """Record that a message names a job id that belongs to the task `owner`.

        Raises:
            Unavailable: The table did not answer.
        """
        return self._fail_apart(delivery, IdTaken(delivery.job_id, owner))

    def reject_misfit(self, delivery: Delivery, error: OffloadError) -> HasEnded | HasFailed | NotNow:
        """Record that a payload does not fit its task, unless the job has ended or runs.

        Raises:
            Unavailable: The table did not answer.
        """
        try:
            return self._fail(delivery, error, readable=True)
        except Conflict as conflict:
            known: JobRecord | None = conflict.item
        record: JobRecord = known or {}
        if known is not None and not is_own(known, delivery):
            return self.reject_taken(delivery, known["task"])
        state = State(record.get("state", State.FAILED))
        if state is State.RUNNING:
            now = self.clock.now()
            return NotNow(record.get("lease_until", now) + AFTER_LEASE_MS, "another worker holds the job")
        if state.ended and state is not State.FAILED:
            return HasEnded(record)  # the message is a late copy
        return self._known_failure(record, delivery)

    def _fail(self, delivery: Delivery, error: OffloadError, *, readable: bool) -> HasFailed:
        explained = explain(error)
        write = end_rejected(delivery, explained, self.clock.now(), readable=readable)
        record = self.store.apply(with_follow_up(write, self.settings.follow_ups))
        return HasFailed(record, explained, must_name_job=False)

    def _fail_apart(self, delivery: Delivery, error: OffloadError) -> HasFailed:
        apart = delivery.apart()
        try:
            return self._fail(apart, error, readable=False)
        except Conflict as conflict:  # it was received before
            return self._known_failure(conflict.item, apart)

    def _known_failure(self, record: JobRecord | None, delivery: Delivery) -> HasFailed:
        """Return the failure that is recorded already, or none when the record belongs to another message."""
        if record is None or record.get("state") != State.FAILED.value:
            return HasFailed({}, must_name_job=False)
        noted = note_replacement(record, delivery)
        if noted is not None:
            with suppress(Conflict):  # the job was redriven meanwhile
                self.store.apply(noted)
        return HasFailed(record, must_name_job=False)
