"""Queues in memory, with SQS's rules: visibility, delay, receive counts, redrive to a dead-letter queue, retention."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from offload.core.clock import new_id
from offload.core.errors import OffloadError, Refused
from offload.core.ports import LONGEST_QUEUE_DELAY, MOST_ENTRIES, Outgoing, QueueCounts, Received

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from offload.memory.clock import VirtualClock

LARGEST_MESSAGE = 1_048_576
LONGEST_VISIBILITY = 43_200
DAY_SECONDS = 86_400


@dataclass(slots=True)
class Stored:
    """A message in a queue. Times are epoch milliseconds.

    Attributes:
        message_id: Its id.
        body: Its body.
        sent_at: When it was sent; a move to the dead-letter queue keeps it, a redrive back does not.
        visible_at: From when it can be received.
        group: Fairness group.
        receives: How often it was received.
        first_received_at: When it was first received.
        received_at: When it was last received.
        receipt: The receipt in force; None before the first receive.
        source: The queue a dead-letter queue got it from.
    """

    message_id: str
    body: str
    sent_at: int
    visible_at: int
    group: str | None = None
    receives: int = 0
    first_received_at: int | None = None
    received_at: int = 0
    receipt: str | None = None
    source: str | None = None


@dataclass(slots=True)
class _Queue:
    dead_letter: str | None
    max_receives: int
    retention_ms: int
    messages: list[Stored]


class MemoryQueues:
    """`Queues` in memory. Messages come out in the order they were sent; SQS's standard queues promise none.

    Attributes:
        late: Seconds a message becomes visible after its time, asked for each that is sent; SQS promises no moment.
        stored: Told of each message that comes into a queue by a send or a redrive: the queue and the message.
    """

    def __init__(self, clock: VirtualClock, rng: random.Random) -> None:
        """Start without queues; message ids come from `rng`."""
        self._clock = clock
        self._rng = rng
        self._queues: dict[str, _Queue] = {}
        self.late: Callable[[], float] = _never_late
        self.stored: Callable[[str, Stored], None] = _unheard

    def create(
        self, name: str, *, dead_letter: str | None = None, max_receives: int = 10, retention: int = 4 * DAY_SECONDS
    ) -> None:
        """Create a queue.

        Args:
            name: Its name.
            dead_letter: Queue that takes what was received too often; must exist.
            max_receives: Receives before that, SQS's `maxReceiveCount`.
            retention: Seconds a message is kept, from when it was first sent; at most 14 days on SQS.
        """
        if dead_letter is not None:
            self._queue(dead_letter)
        self._queues[name] = _Queue(dead_letter, max_receives, retention * 1000, [])

    def send(self, queue: str, message: Outgoing) -> str:
        """Send a message and return its message id."""
        messages = self._queue(queue).messages
        _check(message)
        now = self._clock.now()
        visible_at = now + round((message.delay + self.late()) * 1000)
        stored = Stored(new_id(self._rng), message.body, now, visible_at, message.group)
        messages.append(stored)
        self.stored(queue, stored)
        return stored.message_id

    def send_batch(self, queue: str, messages: Sequence[Outgoing]) -> list[str | Exception]:
        """Send messages; returns a message id or an error for each, in order."""
        outcomes: list[str | Exception] = []
        for message in messages:
            try:
                outcomes.append(self.send(queue, message))
            except OffloadError as error:
                outcomes.append(error)
        return outcomes

    def receive(self, queue: str, *, limit: int, visibility: int, wait: int = 0) -> list[Received]:
        """Receive up to ten messages and hide them for `visibility` seconds.

        With nothing to receive, time passes until the next message, at most `wait` seconds.
        """
        _check_visibility(visibility)
        latest = self._clock.now() + wait * 1000
        while True:
            taken = self._take(queue, min(limit, MOST_ENTRIES), visibility)
            now = self._clock.now()
            if taken or now >= latest:
                return taken
            moments = [message.visible_at for message in self._queue(queue).messages]
            moments += [due for due in (self._clock.next_due(),) if due is not None]
            self._clock.sleep((min([latest, *(moment for moment in moments if moment > now)]) - now) / 1000)

    def delete(self, queue: str, receipt: str) -> None:
        """Delete a received message; a receipt that is not in force any more deletes nothing."""
        held = self._queue(queue)
        held.messages = [message for message in held.messages if message.receipt != receipt]

    def change_visibility(self, queue: str, receipt: str, seconds: int) -> None:
        """Make a received message visible again in `seconds` from now, 0 to 43,200 since its receive.

        Raises:
            Refused: More than 12 hours in all, or the message is not in flight any more.
        """
        _check_visibility(seconds)
        now = self._clock.now()
        for message in self._queue(queue).messages:
            if message.receipt == receipt and message.visible_at > now:
                if now + seconds * 1000 > message.received_at + LONGEST_VISIBILITY * 1000:
                    raise Refused("the message's visibility would last more than 12 hours since its receive")
                message.visible_at = now + seconds * 1000
                return
        raise Refused("the receipt names no message in flight")

    def counts(self, queue: str) -> QueueCounts:
        """Read the numbers of messages."""
        now = self._clock.now()
        messages = self._queue(queue).messages
        hidden = [message for message in messages if message.visible_at > now]
        in_flight = sum(1 for message in hidden if message.receives)
        return QueueCounts(len(messages) - len(hidden), in_flight, len(hidden) - in_flight)

    def names(self) -> list[str]:
        """Return the names of all queues, sorted."""
        return sorted(self._queues)

    def messages(self, queue: str) -> list[Stored]:
        """Return what lies in a queue, hidden messages included: what a test looks at. Copies."""
        return [replace(message) for message in self._queue(queue).messages]

    def earliest(self, queue: str) -> int | None:
        """Return when the first message of a queue can be received, in epoch milliseconds; None when it is empty."""
        return min((message.visible_at for message in self._queue(queue).messages), default=None)

    def shuffle(self, queue: str, rng: random.Random) -> None:
        """Bring a queue's messages into another order."""
        rng.shuffle(self._queue(queue).messages)

    def hold(self, queue: str, message_id: str, seconds: float) -> None:
        """Make a message visible in `seconds` from now, whoever has received it."""
        for message in self._queue(queue).messages:
            if message.message_id == message_id:
                message.visible_at = self._clock.now() + round(seconds * 1000)

    def take(self, queue: str, message_id: str, *, visibility: int) -> Received:
        """Receive one message, whether it is visible or not.

        Raises:
            Refused: It is not in the queue.
        """
        for message in self._queue(queue).messages:
            if message.message_id == message_id:
                return _received(message, self._clock.now(), visibility)
        raise Refused(f"queue {queue!r} has no message {message_id!r}")

    def discard(self, queue: str, message_id: str) -> None:
        """Delete a message, whoever has received it."""
        held = self._queue(queue)
        held.messages = [message for message in held.messages if message.message_id != message_id]

    def bury(self, queue: str, message_id: str) -> None:
        """Move a message to its queue's dead-letter queue, as after its last receive, whoever has received it."""
        held = self._queue(queue)
        for message in held.messages:
            if message.message_id == message_id and held.dead_letter is not None:
                self._bury(held.dead_letter, message, queue)
                self.discard(queue, message_id)

    def redrive(self, dead_letter: str, *, rate: int | None = None) -> None:  # noqa: ARG002 - here it is instant
        """Move what can be received from a dead-letter queue back, as SQS's `StartMessageMoveTask` does.

        Each message has a new id and send time and counts its receives from zero.

        Raises:
            Refused: A message was sent there by hand, so that nothing tells where it belongs.
        """
        held, now = self._queue(dead_letter), self._clock.now()
        moving = [message for message in held.messages if message.visible_at <= now]
        if any(message.source is None for message in moving):
            raise Refused("CouldNotDetermineMessageSource: a message was sent to the dead-letter queue directly")
        held.messages = [message for message in held.messages if message not in moving]
        for message in moving:
            fresh = Stored(new_id(self._rng), message.body, now, now, message.group)
            self._queue(str(message.source)).messages.append(fresh)
            self.stored(str(message.source), fresh)

    def purge(self, queue: str) -> None:
        """Delete everything in a queue."""
        self._queue(queue).messages.clear()

    def _queue(self, name: str) -> _Queue:
        if name not in self._queues:
            raise Refused(f"queue {name!r} does not exist")
        queue, now = self._queues[name], self._clock.now()
        queue.messages = [message for message in queue.messages if now - message.sent_at < queue.retention_ms]
        return queue

    def _take(self, name: str, limit: int, visibility: int) -> list[Received]:
        queue, now = self._queue(name), self._clock.now()
        kept: list[Stored] = []
        taken: list[Received] = []
        for message in queue.messages:
            if message.visible_at > now or len(taken) == limit:
                kept.append(message)
            elif queue.dead_letter is not None and message.receives >= queue.max_receives:
                # The redrive policy acts on the receive that would be one too many.
                self._bury(queue.dead_letter, message, name)
            else:
                kept.append(message)
                taken.append(_received(message, now, visibility))
        queue.messages = kept
        return taken

    def _bury(self, dead_letter: str, message: Stored, source: str) -> None:
        moved = replace(message, receipt=None, source=source, visible_at=self._clock.now())
        self._queue(dead_letter).messages.append(moved)


def _never_late() -> float:
    return 0.0


def _unheard(_queue: str, _message: Stored) -> None:
    pass


def _received(message: Stored, now: int, visibility: int) -> Received:
    message.receives += 1
    message.received_at = now
    message.visible_at = now + visibility * 1000
    message.receipt = f"{message.message_id}/{message.receives}"
    if message.first_received_at is None:
        message.first_received_at = now
    return Received(
        message_id=message.message_id,
        receipt=message.receipt,
        body=message.body,
        sent_at=message.sent_at,
        first_received_at=message.first_received_at,
        receives=message.receives,
    )


def _check(message: Outgoing) -> None:
    size = len(message.body.encode())
    if not 0 < size <= LARGEST_MESSAGE:
        raise Refused(f"a message of {size} bytes is out of range: 1 to {LARGEST_MESSAGE}")
    if not 0 <= message.delay <= LONGEST_QUEUE_DELAY:
        raise Refused(f"a delay of {message.delay} s is out of range: 0 to {LONGEST_QUEUE_DELAY}")


def _check_visibility(seconds: int) -> None:
    if not 0 <= seconds <= LONGEST_VISIBILITY:
        raise Refused(f"a visibility of {seconds} s is out of range: 0 to {LONGEST_VISIBILITY}")
