"""Enqueueing the follow-up that an ended record names; see `core/workflows/follow_ups.py`."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from offload.core.enqueueing.options import CheckedOptions
from offload.core.enqueueing.producer import current_producer
from offload.core.enqueueing.request import EnqueueRequest
from offload.core.errors import DefinitionError, IdTaken, MessageError, PayloadError, Refused, Unavailable, UnknownTask
from offload.core.workflows.follow_ups import clear_follow_up, follow_up_id, follow_up_payload, is_insisted_on
from offload.core.writes import Conflict

if TYPE_CHECKING:
    from offload.core.clock import Clock
    from offload.core.errors import OffloadError
    from offload.core.messages.delivery import Delivery
    from offload.core.ports import Blobs, JobStore
    from offload.core.records import JobRecord

_log = logging.getLogger(__name__)


class FollowUps:
    """Enqueues what follows the end of a job."""

    def __init__(self, store: JobStore, blobs: Blobs, clock: Clock) -> None:
        """Keep what it needs."""
        self.store, self.blobs, self.clock = store, blobs, clock

    def enqueue(self, delivery: Delivery, record: JobRecord, *, may_wait: bool = True) -> None:
        """Enqueue the follow-up that an ended record names, if it names one, and note that in the record.

        A follow-up that can never be enqueued is logged and given up; how the job itself ended stands. So is one that
        could not be enqueued for `INSISTED_DAYS`, or at once when the message cannot wait any more.

        Args:
            delivery: The delivery.
            record: The record of its job.
            may_wait: Whether the message can come back and try again.

        Raises:
            Unavailable: Not enqueued, or not noted; the message comes back and this is tried again.
            Refused: The same.
        """
        target = record.get("follow_up")
        if target is None:
            return
        try:
            try:
                self._send(target, delivery, record)
            except (MessageError, UnknownTask, DefinitionError, IdTaken, PayloadError) as error:
                self._give_up(target, delivery, error)
            self._clear(record)
        except (Unavailable, Refused) as error:
            if may_wait and is_insisted_on(record, self.clock.now()):
                raise
            self._give_up(target, delivery, error)
            with suppress(Unavailable, Refused):  # the next delivery of this message gives it up once more
                self._clear(record)

    def _send(self, target: str, delivery: Delivery, record: JobRecord) -> None:
        follow_up = replace(delivery.message, hops=delivery.message.hops + 1)
        follow_up.check_hops()
        options = CheckedOptions(id=follow_up_id(record), tenant=record.get("tenant"))
        payload = follow_up_payload(record, self._result(record))
        current_producer().send(EnqueueRequest(target, payload, options, parent=record["id"], hops=follow_up.hops))

    def _result(self, record: JobRecord) -> str | None:
        ref = record.get("result_ref")
        return record.get("result") if ref is None else self.blobs.get(ref).decode()

    def _clear(self, record: JobRecord) -> None:
        with suppress(Conflict):  # redriven meanwhile: that run names its own
            self.store.apply(clear_follow_up(record))

    def _give_up(self, target: str, delivery: Delivery, error: OffloadError) -> None:
        known = {"job_id": delivery.job_id, "message_id": delivery.message_id, "follow_up": target}
        _log.error("follow-up given up", extra={**known, "error_type": type(error).__name__, "detail": str(error)})
