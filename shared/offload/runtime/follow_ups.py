"""Enqueueing the follow-up that an ended record names; see `core/workflows/follow_ups.py`."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from offload.core.enqueueing.options import CheckedOptions
from offload.core.enqueueing.producer import current_producer
from offload.core.enqueueing.request import EnqueueRequest
from offload.core.errors import DefinitionError, MessageError, PayloadError, UnknownTask
from offload.core.workflows.follow_ups import clear_follow_up, follow_up_id, follow_up_payload
from offload.core.writes import Conflict

if TYPE_CHECKING:
    from offload.core.messages.delivery import Delivery
    from offload.core.ports import JobStore
    from offload.core.records import JobRecord

_log = logging.getLogger(__name__)


class FollowUps:
    """Enqueues what follows the end of a job."""

    def __init__(self, store: JobStore) -> None:
        """Keep what it needs."""
        self.store = store

    def enqueue(self, delivery: Delivery, record: JobRecord) -> None:
        """Enqueue the follow-up that an ended record names, if it names one, and note that in the record.

        A follow-up that can never be enqueued is logged and given up; how the job itself ended stands.

        Raises:
            Unavailable: Not enqueued, or not noted; the message comes back and this is tried again.
            Refused: The same.
        """
        target = record.get("follow_up")
        if target is None:
            return
        try:
            follow_up = replace(delivery.message, hops=delivery.message.hops + 1)
            follow_up.check_hops()
            options = CheckedOptions(id=follow_up_id(record), tenant=record.get("tenant"))
            payload = follow_up_payload(record)
            request = EnqueueRequest(target, payload, options, parent=delivery.job_id, hops=follow_up.hops)
            current_producer().send(request)
        except (MessageError, UnknownTask, DefinitionError, PayloadError) as error:
            known = {"job_id": delivery.job_id, "message_id": delivery.message_id, "follow_up": target}
            _log.error("follow-up given up", extra={**known, "error_type": type(error).__name__, "detail": str(error)})
        with suppress(Conflict):  # redriven meanwhile: that run names its own
            self.store.apply(clear_follow_up(record))
