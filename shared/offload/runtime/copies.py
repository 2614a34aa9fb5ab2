"""Sending a copy of a message in its place: to its queue now, or by a timer later."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from offload.core.messages.copying import copy_body, small_copy_body
from offload.core.messages.message import Message, job_id_for
from offload.core.messages.waiting import timer_name
from offload.core.ports import LARGEST_MESSAGE, LARGEST_TIMED, OutgoingMessage
from offload.core.retention import is_old_payload, payload_key

if TYPE_CHECKING:
    from offload.core.clock import Clock
    from offload.core.ports import Blobs, Queues, ReceivedMessage, Timers
    from offload.core.records import BlobReference


class Copies:
    """Sends the copies of one task's messages.

    A copy is sent before its original is acknowledged. A crash between leaves two messages of one job, of which the
    second finds the job claimed or ended.
    """

    def __init__(self, task: str, queues: Queues, timers: Timers, blobs: Blobs, clock: Clock) -> None:
        """Keep what it needs."""
        self.task, self.queues, self.timers, self.blobs, self.clock = task, queues, timers, blobs, clock

    def send(self, received: ReceivedMessage, delay: int) -> None:
        """Send a copy that its queue delays by so many seconds.

        Raises:
            MessageError: The message breaks the contract, so that there is nothing to save.
            Unavailable: A service did not answer.
            Refused: A service refused a request.
        """
        # Each copy that is sent has its own time, even when the answer to the send before was lost.
        body = self._body(received, self.clock.now(), LARGEST_MESSAGE)
        self.queues.send(received.queue, OutgoingMessage(body, delay=delay, group=Message.decode(received.body).group))

    def send_at(self, received: ReceivedMessage, at: int, until: int) -> None:
        """Have a timer send a copy at epoch milliseconds `at`; its job waits until `until`.

        Raises:
            MessageError: As in `send`.
            Unavailable: The same.
            Refused: The same.
        """
        message = Message.decode(received.body)
        if message.payload_ref is not None and is_old_payload(message.enqueued_at or received.sent_at, until):
            # It might be deleted in the meantime. Its copy lies where objects live as long as this wait.
            raw = self.blobs.get(message.payload_ref)
            body = small_copy_body(received, at, self._put(received, raw, until), timed=True)
        else:
            body = self._body(received, at, LARGEST_TIMED, until=until)
        self.timers.send_at(timer_name(self.task, job_id_for(received), until), received.queue, body, at)

    def _body(self, received: ReceivedMessage, copied_at: int, most: int, *, until: int | None = None) -> str:
        """Return a copy of at most so many bytes: the payload of a larger one goes to the bucket."""
        timed = until is not None
        body = copy_body(received, copied_at, timed=timed)
        payload = Message.decode(received.body).payload
        if payload is None or len(body.encode()) <= most:
            return body
        ref = self._put(received, json.dumps(payload).encode(), until or 0)
        return small_copy_body(received, copied_at, ref, timed=timed)

    def _put(self, received: ReceivedMessage, raw: bytes, until: int) -> BlobReference:
        wait = max(0, until - self.clock.now()) / 1000
        return self.blobs.put(payload_key(self.task, job_id_for(received), wait), raw)
