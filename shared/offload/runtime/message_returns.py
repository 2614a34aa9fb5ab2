"""Carrying out what becomes of a message: by its visibility, or by a copy that replaces it."""

from __future__ import annotations

import json
import logging
import math
from typing import TYPE_CHECKING

from offload.core.errors import MessageError, OffloadError, Refused, Unavailable
from offload.core.messages.message import MOST_REPLACED, Message, compact, job_id_for, job_id_of
from offload.core.ports import LONGEST_QUEUE_DELAY, LONGEST_VISIBILITY, OutgoingMessage
from offload.runtime.outcomes import (
    Acknowledge,
    BatchAnswer,
    Disposition,
    LeaveHidden,
    Postponed,
    ReturnToQueue,
    ToDeadLetterQueue,
)

if TYPE_CHECKING:
    import random

    from offload.core.clock import Clock
    from offload.core.ports import Queues, ReceivedMessage

_log = logging.getLogger(__name__)

_LONGEST_BACKOFF = 900
"""Seconds that a message waits at most because a service failed us."""

_VISIBILITY_MARGIN = 60
"""Seconds that a message's visibility ends before SQS's own limit."""

_REPLACE_BEFORE = 2
"""A message that has only this many receives left is replaced rather than returned once more."""

_REPLACE_BEFORE_RUN = _REPLACE_BEFORE + 1
"""A message with only this many receives left is replaced before its run: a worker that dies returns no message."""


class MessageReturns:
    """Returns messages to their queues.

    Args:
        queues: Queues.
        clock: Time.
        rng: Jitter.
        max_receives: The queues' `maxReceiveCount`.
    """

    def __init__(self, queues: Queues, clock: Clock, rng: random.Random, max_receives: int) -> None:
        """Keep what it needs."""
        self.queues, self.clock, self.rng, self.max_receives = queues, clock, rng, max_receives

    def carry_out(self, disposition: Disposition, received: ReceivedMessage) -> BatchAnswer | Postponed:
        """Do with a message what was decided, and tell what to report of it."""
        match disposition:
            case Acknowledge():
                return BatchAnswer.DONE
            case LeaveHidden():
                return BatchAnswer.NOT_DONE
            case ReturnToQueue():
                return self._return(received, disposition)
            case ToDeadLetterQueue(must_name_job):
                return self._fail(received, must_name_job=must_name_job)
            case Postponed():
                return disposition

    def after_service_error(self, received: ReceivedMessage, error: OffloadError) -> ReturnToQueue:
        """Decide how long a message waits because a service failed us: longer with each receive, and uncharged."""
        why = "a service error"
        if not isinstance(error, Unavailable):
            return ReturnToQueue(_LONGEST_BACKOFF, why)
        bound = min(_LONGEST_BACKOFF, 2.0 ** min(received.receives, 10))
        return ReturnToQueue(self.rng.uniform(0.5, 1.0) * bound, why)

    def _return(self, received: ReceivedMessage, disposition: ReturnToQueue) -> BatchAnswer:
        delay, why = max(0.0, disposition.delay), disposition.why
        known = {"job_id": job_id_for(received), "message_id": received.message_id}
        _log.info("message returns to its queue", extra={**known, "why": why, "delay": round(delay, 3)})
        in_flight = (self.clock.now() - received.first_received_at) / 1000
        room = int(LONGEST_VISIBILITY - _VISIBILITY_MARGIN - in_flight)
        # A longer wait takes several turns: almost 12 hours hidden, then a copy, which can be delayed by 15 minutes.
        too_long = delay > room and room < LONGEST_QUEUE_DELAY
        is_last = too_long or received.receives >= self.max_receives - _REPLACE_BEFORE
        if is_last and disposition.may_be_replaced:
            return self._replace_or_hide(received, min(math.ceil(delay), LONGEST_QUEUE_DELAY))
        self._hide(received, max(0, min(math.ceil(delay), room)))
        return BatchAnswer.NOT_DONE

    def _fail(self, received: ReceivedMessage, *, must_name_job: bool) -> BatchAnswer:
        """Let the queue's own redrive policy move the message: only then can it be redriven to its source."""
        if must_name_job and job_id_of(received.body) is None:
            return self._replace_or_hide(received, 0)
        self._hide(received, 0)
        return BatchAnswer.NOT_DONE

    def is_near_last_receive(self, received: ReceivedMessage) -> bool:
        """Tell whether the message would soon be moved to the dead-letter queue, were its worker to die on it."""
        return received.receives >= self.max_receives - _REPLACE_BEFORE_RUN

    def replace(self, received: ReceivedMessage) -> bool:
        """Replace a message by a copy instead of running its job; False when that failed and the job has to run now."""
        if not self._send_copy(received, 0):
            return False
        try:
            # At once, and not with the batch: another job of it may yet kill the worker.
            self.queues.delete(received.queue, received.receipt)
        except (Unavailable, Refused) as error:
            self._log(error, received)  # it is deleted with the batch
        return True

    def _replace_or_hide(self, received: ReceivedMessage, delay: int) -> BatchAnswer:
        if self._send_copy(received, delay):
            return BatchAnswer.DONE
        self._hide(received, delay)
        return BatchAnswer.NOT_DONE

    def _send_copy(self, received: ReceivedMessage, delay: int) -> bool:
        """Send a copy of the message under its job id: its receive count and its 12 hours of visibility start over.

        The copy is sent before the original is acknowledged. A crash between leaves two messages of one job, of which
        the second finds the job claimed or ended.
        """
        try:
            message = Message.decode(received.body)
        except MessageError:
            return False  # it can only be rejected, so there is nothing to save
        body = json.loads(received.body)
        for name, value in (("id", received.message_id), ("enqueued_at", received.sent_at)):
            if body.get(name) is None:  # null stands for absent
                body[name] = value
        body["replaces"] = [*message.replaces, received.message_id][-MOST_REPLACED:]
        copy = OutgoingMessage(compact(body), delay=delay, group=message.group)
        try:
            self.queues.send(received.queue, copy)
        except (Unavailable, Refused) as error:
            self._log(error, received)
            return False
        return True

    def _log(self, error: OffloadError, received: ReceivedMessage) -> None:
        log_service_error(error, job_id_for(received), received.message_id)

    def _hide(self, received: ReceivedMessage, seconds: int) -> None:
        try:
            self.queues.change_visibility(received.queue, received.receipt, seconds)
        except (Unavailable, Refused) as error:
            self._log(error, received)  # the message comes back at the queue's own visibility timeout


def log_service_error(error: OffloadError, job_id: str, message_id: str) -> None:
    """Log that a service did not do what we asked for a job."""
    known = {"job_id": job_id, "message_id": message_id}
    _log.error("service error", extra={**known, "error_type": type(error).__name__, "detail": str(error)})
