"""Rejecting messages that can never run: their jobs fail without an attempt."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from offload.core.jobs.claiming import AFTER_LEASE_MS, note_replacement
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
    """Rejects the messages of one task."""

    def __init__(self, settings: Settings, store: JobStore, clock: Clock) -> None:
        """Keep what it needs."""
        self.settings, self.store, self.clock = settings, store, clock

    def reject_broken(self, delivery: Delivery, error: OffloadError) -> HasFailed:
        """Record that a message breaks the contract; a job of the same id that has started stays as it is.

        The message itself stays as it is, so that somebody can look at it in the dead-letter queue.

        Raises:
            Unavailable: The table did not answer.
        """
        try:
            return self._fail(delivery, error, readable=False)
        except Conflict as conflict:
            return self._known_failure(conflict.item, delivery)

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

    def _known_failure(self, record: JobRecord | None, delivery: Delivery) -> HasFailed:
        """Return the failure that is recorded already, or none when the record belongs to another message."""
        if record is None or record.get("state") != State.FAILED.value:
            return HasFailed({}, must_name_job=False)
        noted = note_replacement(record, delivery)
        if noted is not None:
            with suppress(Conflict):  # the job was redriven meanwhile
                self.store.apply(noted)
        return HasFailed(record, must_name_job=False)
