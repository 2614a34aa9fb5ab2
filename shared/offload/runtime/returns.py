"""Messages that are not done: how they go back to their queue."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from offload.core.errors import MessageError, Refused, Unavailable
from offload.core.messages import REMEMBERED, Message, compact, job_id_of
from offload.core.ports import LONGEST_QUEUE_DELAY, Outgoing

if TYPE_CHECKING:
    import random

    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

    from offload.core.clock import Clock
    from offload.core.ports import Queues
    from offload.runtime.telemetry import Telemetry

_LONGEST_VISIBILITY = 43_200
_LATEST_BACKOFF = 900
_RENEW_BEFORE = 2
"""A message this close to its queue's `maxReceiveCount` is sent anew rather than handed back once more."""
_RENEW_BEFORE_RUN = _RENEW_BEFORE + 1
"""One this close is sent anew before it starts a run: a worker that dies hands nothing back."""


@dataclass(slots=True)
class Receipt:
    """One received message, as the worker needs it."""

    queue: str
    message_id: str
    handle: str
    body: str
    sent_at: int
    first_received_at: int
    receives: int

    @classmethod
    def read(cls, record: SQSRecord) -> Receipt:
        """Read a record of a Lambda event."""
        attributes = record.attributes
        return cls(
            queue=record.event_source_arn.rpartition(":")[2],
            message_id=record.message_id,
            handle=record.receipt_handle,
            body=record.body,
            sent_at=int(attributes.sent_timestamp),
            first_received_at=int(attributes.approximate_first_receive_timestamp),
            receives=int(attributes.approximate_receive_count),
        )


class Returns:
    """Hands messages back to their queues.

    Each method returns True when the message is done with after all, because a renewed copy took its place.
    """

    def __init__(
        self, queues: Queues, *, clock: Clock, rng: random.Random, telemetry: Telemetry, max_receives: int
    ) -> None:
        """Keep the ports; `max_receives` is the queues' `maxReceiveCount`."""
        self._queues, self._clock, self._rng = queues, clock, rng
        self._telemetry, self._max_receives = telemetry, max_receives

    def bury(self, receipt: Receipt, *, named: bool) -> bool:
        """Let the queue's own redrive policy move the message: only then can it be redriven to its source.

        Args:
            receipt: The message.
            named: It must name its job. A redrive gives it a new message id, and one that has only that to go by would
                come back as another job; so a copy that names the job is sent, and buried in its place.
        """
        if named and job_id_of(receipt.body) is None:
            return self._renew(receipt, 0)
        self._visible_in(receipt, 0)
        return False

    def linger(self, receipt: Receipt) -> bool:
        """Hand a failed message back with backoff: something must still be done before it is buried."""
        self._visible_in(receipt, math.ceil(self._backoff(receipt)))
        return False

    def after_trouble(self, receipt: Receipt, trouble: Unavailable | Refused) -> bool:
        """Hand a message back because a service failed us: it waits longer with each receive, and nobody is charged."""
        self._telemetry.trouble(trouble)
        return self.later(receipt, self._backoff(receipt) if isinstance(trouble, Unavailable) else _LATEST_BACKOFF)

    def later(self, receipt: Receipt, delay: float) -> bool:
        """Hand a message back for `delay` seconds, uncharged or to its next attempt."""
        delay = max(0.0, delay)
        held = (self._clock.now() - receipt.first_received_at) / 1000
        room = int(_LONGEST_VISIBILITY - 60 - held)
        # A longer wait is slept in turns: almost 12 hours hidden, then renewed, which can wait 15 minutes itself.
        too_long = delay > room and room < LONGEST_QUEUE_DELAY
        if too_long or receipt.receives >= self._max_receives - _RENEW_BEFORE:
            return self._renew(receipt, delay)
        self._visible_in(receipt, min(math.ceil(delay), room))
        return False

    def _backoff(self, receipt: Receipt) -> float:
        return self._rng.uniform(0.5, 1.0) * min(_LATEST_BACKOFF, 2.0 ** min(receipt.receives, 10))

    def nears_its_end(self, receipt: Receipt) -> bool:
        """Tell whether the message would soon be moved to the dead-letter queue, were its worker to die on it."""
        return receipt.receives >= self._max_receives - _RENEW_BEFORE_RUN

    def renew(self, receipt: Receipt) -> bool:
        """Send a message anew instead of starting its run; False when that failed, and it has to run as it is."""
        if not self._sent_anew(receipt, 0):
            return False
        try:
            # At once, and not with the batch: another job of it may yet kill the worker.
            self._queues.delete(receipt.queue, receipt.handle)
        except (Unavailable, Refused) as trouble:
            self._telemetry.trouble(trouble)  # it is deleted with the batch
        return True

    def _renew(self, receipt: Receipt, delay: float) -> bool:
        waits = min(math.ceil(delay), LONGEST_QUEUE_DELAY)
        if self._sent_anew(receipt, waits):
            return True
        self._visible_in(receipt, waits)
        return False

    def _sent_anew(self, receipt: Receipt, waits: int) -> bool:
        """Send the message anew under its job id: its receive count and its 12 hours of visibility start over.

        The copy is sent before the original is acknowledged. A crash between leaves two messages of one job, of which
        the second finds the job claimed or ended.
        """
        try:
            message = Message.decode(receipt.body)
        except MessageError:
            return False  # it can only be rejected, so there is nothing to save
        body = json.loads(receipt.body)
        for name, value in (("id", receipt.message_id), ("enqueued_at", receipt.sent_at)):
            if body.get(name) is None:  # null stands for absent
                body[name] = value
        body["renewed"] = [*message.renewed, receipt.message_id][-REMEMBERED:]
        copy = Outgoing(compact(body), delay=waits, group=message.group)
        try:
            self._queues.send(receipt.queue, copy)
        except (Unavailable, Refused) as trouble:
            self._telemetry.trouble(trouble)
            return False
        return True

    def _visible_in(self, receipt: Receipt, seconds: int) -> None:
        try:
            self._queues.change_visibility(receipt.queue, receipt.handle, seconds)
        except (Unavailable, Refused) as trouble:
            self._telemetry.trouble(trouble)  # the message comes back at the queue's own visibility timeout
