"""Carrying out what becomes of a message: by its visibility, or by a copy that replaces it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from offload.core.errors import MessageError, OffloadError, Refused, Unavailable
from offload.core.hooks import SERVICE_ERROR
from offload.core.messages.copying import unreturned_body
from offload.core.messages.message import Message, job_id_for, job_id_of
from offload.core.messages.waiting import (
    MAX_RECEIVES,
    REPLACED_FROM,
    Hide,
    SendCopy,
    SetTimer,
    way_to_wait,
    without_copy,
)
from offload.core.ports import LONGEST_QUEUE_DELAY
from offload.runtime.invocation import SPARE_MS
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
    from collections.abc import Callable

    from offload.core.clock import Clock
    from offload.core.ports import Queues, ReceivedMessage
    from offload.runtime.copies import Copies
    from offload.runtime.invocation import Invocation

_log = logging.getLogger(__name__)

_LONGEST_BACKOFF = 900
"""Seconds that a message waits at most because a service failed us."""


class MessageReturns:
    """Returns messages to their queues.

    Args:
        queues: Queues.
        copies: Sends copies of messages.
        clock: Time.
        rng: Jitter.
        soft_limit: The task's soft limit in seconds.
    """

    def __init__(self, queues: Queues, copies: Copies, clock: Clock, rng: random.Random, *, soft_limit: float) -> None:
        """Keep what it needs."""
        self.queues, self.copies, self.clock, self.rng, self.soft_limit = queues, copies, clock, rng, soft_limit

    def carry_out(
        self, disposition: Disposition, received: ReceivedMessage, invocation: Invocation
    ) -> BatchAnswer | Postponed:
        """Do with a message what was decided, and tell what to report of it."""
        match disposition:
            case Acknowledge():
                return BatchAnswer.DONE
            case _ if invocation.is_over:
                return BatchAnswer.NOT_DONE  # others have received it by now, and a copy would be one too many
            case LeaveHidden():
                return BatchAnswer.NOT_DONE
            case ReturnToQueue():
                return self._return(received, disposition, invocation)
            case ToDeadLetterQueue(must_name_job):
                return self._fail(received, invocation, must_name_job=must_name_job)
            case Postponed():
                return disposition

    def after_service_error(self, received: ReceivedMessage, error: OffloadError) -> ReturnToQueue:
        """Decide how long a message waits because a service failed us: longer with each receive, and uncharged."""
        now, why = self.clock.now(), SERVICE_ERROR
        if not isinstance(error, Unavailable):
            return ReturnToQueue(now + _LONGEST_BACKOFF * 1000, why)
        bound = min(_LONGEST_BACKOFF, 2.0 ** min(_receives_in_all(received), 10))
        return ReturnToQueue(now + int(self.rng.uniform(0.5, 1.0) * bound * 1000), why)

    def replace(self, received: ReceivedMessage, until: int, invocation: Invocation) -> bool:
        """Replace a message that workers have received and never returned; False when that failed.

        The original is deleted at once, and not with the batch: another job of it may yet kill the worker.
        """
        way = way_to_wait(until, self.clock.now(), received.receives)
        unreturned = received._replace(body=unreturned_body(received.body))
        if invocation.is_over or not self._send(unreturned, until, way, invocation):
            return False
        try:
            self.queues.delete(received.queue, received.receipt)
        except (Unavailable, Refused) as error:
            self._log(error, received)  # it is deleted with the batch
        return True

    def has_another_receive(self, received: ReceivedMessage) -> bool:
        """Tell whether a message that waits is received again: by a copy of it, or because it has receives left."""
        return received.receives < MAX_RECEIVES or _can_be_copied(received)

    def _return(self, received: ReceivedMessage, disposition: ReturnToQueue, invocation: Invocation) -> BatchAnswer:
        until, now = disposition.until, self.clock.now()
        known = {"job_id": job_id_for(received), "message_id": received.message_id}
        delay = round(max(0, until - now) / 1000, 3)
        _log.info("message returns to its queue", extra={**known, "why": disposition.why, "delay": delay})
        way = way_to_wait(until, now, received.receives)
        if not isinstance(way, Hide) and self._send(received, until, way, invocation):
            return BatchAnswer.DONE
        self._hide(received, way if isinstance(way, Hide) else without_copy(until, now, received.receives))
        return BatchAnswer.NOT_DONE

    def _fail(self, received: ReceivedMessage, invocation: Invocation, *, must_name_job: bool) -> BatchAnswer:
        """Let the queue's own redrive policy move the message: only then can it be redriven to its source."""
        if must_name_job and job_id_of(received.body) is None:
            named = self._send(received, self.clock.now(), SendCopy(0), invocation)
            if named:
                return BatchAnswer.DONE
        self._hide(received, Hide(0))
        return BatchAnswer.NOT_DONE

    def _send(
        self, received: ReceivedMessage, until: int, way: Hide | SendCopy | SetTimer, invocation: Invocation
    ) -> bool:
        """Send a copy, now or by a timer; False when there is none, because of a service or of the message itself."""
        if isinstance(way, SetTimer):
            at = way.at
            if self._attempt(lambda: self.copies.send_at(received, at, until), received, invocation):
                return True
            way = SendCopy(LONGEST_QUEUE_DELAY)  # the copy tries again
        delay = way.delay if isinstance(way, SendCopy) else way.seconds
        return self._attempt(lambda: self.copies.send(received, delay), received, invocation)

    def _attempt(self, send: Callable[[], None], received: ReceivedMessage, invocation: Invocation) -> bool:
        # A message in its last receives has no other way, so its copy is worth all the time that there is. That of
        # another may take the time that no job of the batch needs.
        last = received.receives >= REPLACED_FROM
        spare = SPARE_MS if last else invocation.needed_ms(self.soft_limit)
        try:
            invocation.repeat_until_answered(send, spare_ms=spare)
        except MessageError:
            return False  # it can only be rejected, so there is nothing to save
        except (Unavailable, Refused) as error:
            self._log(error, received)
            return False
        return True

    def _log(self, error: OffloadError, received: ReceivedMessage) -> None:
        log_service_error(error, job_id_for(received), received.message_id)

    def _hide(self, received: ReceivedMessage, how_long: Hide) -> None:
        try:
            self.queues.change_visibility(received.queue, received.receipt, how_long.seconds)
        except (Unavailable, Refused) as error:
            self._log(error, received)  # the message comes back at the queue's own visibility timeout


def _can_be_copied(received: ReceivedMessage) -> bool:
    try:
        Message.decode(received.body)
    except MessageError:
        return False
    return True


def _receives_in_all(received: ReceivedMessage) -> int:
    """Return how often a message and those that it replaces were received, as far as that can be told."""
    try:
        return received.receives + 2 * len(Message.decode(received.body).replaces)
    except MessageError:
        return received.receives


def log_service_error(error: OffloadError, job_id: str, message_id: str) -> None:
    """Log that a service did not do what we asked for a job."""
    known = {"job_id": job_id, "message_id": message_id}
    _log.error("service error", extra={**known, "error_type": type(error).__name__, "detail": str(error)})
