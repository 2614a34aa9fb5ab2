"""Replay: bring dead letters back to the queues they came from, one by one.

A dead letter is received, sent to its queue, and only then deleted. Interrupted between the two, it is in both places;
its job runs once all the same, since a job that has ended well is not run again.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from offload.core.errors import MessageError, Refused, Unavailable
from offload.core.messages import Message, compact, job_id_of
from offload.core.ports import MOST_ENTRIES, Outgoing

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from offload.core.clock import Clock
    from offload.core.ports import Queues, Received

_SKEW_MS = 60_000
"""How far the clock of this machine and that of the queues may be apart."""

_IN_VAIN = 1_000
"""Messages received in a row that are no news, beyond those to be met again, before a run ends: where jobs fail as fast
as this run can receive, its queue never becomes empty."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter that was received.

    Attributes:
        queue: The dead-letter queue.
        job_id: The job it belongs to.
        message: The message.
    """

    queue: str
    job_id: str
    message: Received

    def again(self) -> Outgoing:
        """Return the message to send: the same body, and the job's id in it, which a bare message got from SQS."""
        try:
            read = Message.decode(self.message.body)
        except MessageError:
            return Outgoing(self.message.body)
        body = (
            self.message.body if read.id is not None else compact({**json.loads(self.message.body), "id": self.job_id})
        )
        return Outgoing(body, group=read.group)


class Replay:
    """One run over dead-letter queues. It sees what lay there when it began, and nothing that failed since.

    Attributes:
        returned: Messages left alone because they came (back) after the run had begun.
    """

    def __init__(self, queues: Queues, clock: Clock, *, hide: int) -> None:
        """Begin now.

        Args:
            queues: Queues.
            clock: Time.
            hide: Seconds a dead letter stays hidden while this run works through its queue, which should take less. A
                run that dies leaves it where it is, hidden so long.
        """
        self.returned = 0
        self._queues, self._hide = queues, hide
        self._began = clock.now()
        self._sent: set[str] = set()
        self._jobs: set[str] = set()
        self._held: dict[str, str] = {}

    def letters(self, dead: str) -> Generator[Letter]:
        """Receive a dead-letter queue's messages, each once; those not brought back are put back at the end.

        Close it when leaving early, so that the end comes at once.
        """
        seen: set[str] = set()
        lay_there, in_vain = 0, 0
        try:
            while batch := self._queues.receive(dead, limit=MOST_ENTRIES, visibility=self._hide, wait=1):
                self._held |= {message.message_id: message.receipt for message in batch}
                for message in batch:
                    in_vain += 1
                    if message.message_id in seen:
                        continue  # a long run meets it again when its hiding is over; others may lie behind it
                    seen.add(message.message_id)
                    job_id = job_id_of(message.body) or message.message_id
                    if self._came_since(message, job_id):
                        self.returned += 1
                    else:
                        lay_there, in_vain = lay_there + 1, 0
                        yield Letter(dead, job_id, message)
                if in_vain > lay_there + _IN_VAIN:
                    return
        finally:
            self._put_back(dead)

    def bring_back(self, letter: Letter, source: str, sent: Callable[[], None] = lambda: None) -> None:
        """Send a dead letter to its queue and delete it; `sent` is called in between."""
        self._jobs.add(letter.job_id)
        self._sent.add(self._queues.send(source, letter.again()))
        sent()
        self._queues.delete(letter.queue, letter.message.receipt)
        self._held.pop(letter.message.message_id, None)

    def _came_since(self, message: Received, job_id: str) -> bool:
        # A message keeps its id and send time on its way to the DLQ, and its renewals name it.
        if self._sent & {message.message_id, *_renewed(message.body)}:
            return True
        # What the ids do not tell: a send that SQS carried out twice, another redrive at the same time, new failures.
        return message.sent_at > self._began + (0 if job_id in self._jobs else _SKEW_MS)

    def _put_back(self, dead: str) -> None:
        held, self._held = self._held, {}
        for receipt in held.values():
            with suppress(Refused, Unavailable):  # it comes back by itself when its hiding is over
                self._queues.change_visibility(dead, receipt, 0)


def _renewed(body: str) -> tuple[str, ...]:
    try:
        return Message.decode(body).renewed
    except MessageError:
        return ()
