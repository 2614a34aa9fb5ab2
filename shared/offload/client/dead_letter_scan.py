"""One scan through dead-letter queues, and the way of a message back to the queue it came from.

A dead letter is received, sent to its queue, and only then deleted. When the scan is interrupted between the two, the
message lies in both places; its job runs once all the same, since a job that has ended well does not run again.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING

from offload.core.errors import MessageError, Refused, Unavailable
from offload.core.messages.message import Message, compact, job_id_for
from offload.core.ports import MOST_ENTRIES, OutgoingMessage

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from offload.core.clock import Clock
    from offload.core.ports import Queues, ReceivedMessage

_SKEW_MS = 60_000
"""How far the clock of this machine and that of the queues may be apart."""

_MOST_SKIPPED = 1_000
"""Messages in a row that a scan may skip, beyond those it has seen before. Then it ends: where jobs fail as fast as the
scan receives, the queue never becomes empty."""


class DeadLetterScan:
    """One scan through dead-letter queues. It sees what lay there when it began, and nothing that has failed since.

    Attributes:
        returned: Messages left alone because they came to the dead-letter queue, or back to it, after the scan began.
    """

    def __init__(self, queues: Queues, clock: Clock, *, hide: int) -> None:
        """Begin now.

        Args:
            queues: Queues.
            clock: Time.
            hide: Seconds that a message stays hidden from others; the scan of a queue should take less. A scan that
                dies leaves the messages where they are, hidden so long.
        """
        self.returned = 0
        self._queues, self._hide = queues, hide
        self._began = clock.now()
        self._sent: set[str] = set()
        self._jobs: set[str] = set()
        self._held: dict[str, str] = {}

    def messages(self, dead: str) -> Generator[ReceivedMessage]:
        """Receive a dead-letter queue's messages, each once; those that were not sent back are put back at the end.

        Close the generator when leaving early, so that the end comes at once.
        """
        seen: set[str] = set()
        found, skipped = 0, 0
        try:
            while batch := self._queues.receive(dead, limit=MOST_ENTRIES, visibility=self._hide, wait=1):
                self._held |= {message.message_id: message.receipt for message in batch}
                for message in batch:
                    skipped += 1
                    if message.message_id in seen:
                        continue  # its hiding is over and it was received again; others may lie behind it
                    seen.add(message.message_id)
                    if self._came_since(message):
                        self.returned += 1
                    else:
                        found, skipped = found + 1, 0
                        yield message
                if skipped > found + _MOST_SKIPPED:
                    return
        finally:
            self._put_back(dead)

    def send_back(self, message: ReceivedMessage, source: str, sent: Callable[[], None] = lambda: None) -> None:
        """Send a dead letter to the queue `source` and delete it; `sent` is called in between."""
        self._jobs.add(job_id_for(message))
        self._sent.add(self._queues.send(source, sent_again(message)))
        sent()
        self._queues.delete(message.queue, message.receipt)
        self._held.pop(message.message_id, None)

    def _came_since(self, message: ReceivedMessage) -> bool:
        # A message keeps its id and send time on its way to the DLQ, and a copy names the messages that it replaces.
        if self._sent & {message.message_id, *_replaces(message.body)}:
            return True
        # The ids do not tell a send that SQS carried out twice, another scan at the same time, or new failures.
        return message.sent_at > self._began + (0 if job_id_for(message) in self._jobs else _SKEW_MS)

    def _put_back(self, dead: str) -> None:
        held, self._held = self._held, {}
        for receipt in held.values():
            with suppress(Refused, Unavailable):  # it comes back by itself when its hiding is over
                self._queues.change_visibility(dead, receipt, 0)


def sent_again(message: ReceivedMessage) -> OutgoingMessage:
    """Return a dead letter as it is to be sent: the same body, with the job's id if it had none."""
    try:
        read = Message.decode(message.body)
    except MessageError:
        return OutgoingMessage(message.body)
    if read.id is not None:
        return OutgoingMessage(message.body, group=read.group)
    named = compact({**json.loads(message.body), "id": job_id_for(message)})
    return OutgoingMessage(named, group=read.group)


def _replaces(body: str) -> tuple[str, ...]:
    try:
        return Message.decode(body).replaces
    except MessageError:
        return ()
