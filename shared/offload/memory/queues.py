"""Queues in memory, with the rules of SQS: visibility, delay, receive counts, dead-letter queues, retention."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from offload.core.errors import OffloadError, Refused
from offload.core.ids import new_id
from offload.core.ports import (
    LARGEST_MESSAGE,
    LONGEST_QUEUE_DELAY,
    LONGEST_VISIBILITY,
    MOST_ENTRIES,
    OutgoingMessage,
    QueueCounts,
    ReceivedMessage,
)

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from offload.memory.clock import VirtualClock

DAY_SECONDS = 86_400


@dataclass(slots=True)
class StoredMessage:
    """A message in a queue. Times are epoch milliseconds.

    Attributes:
        message_id: Id of the message.
        body: Body of the message.
        sent_at: When the message was sent. A move to the dead-letter queue keeps this time; a redrive sets it anew.
        visible_at: From when the message can be received.
        group: Fairness group.
        receives: How often the message was received.
        first_received_at: When the message was first received.
        received_at: When the message was last received.
        receipt: The receipt handle of the last receive; None before the first one.
        source: In a dead-letter queue: the queue that the message was moved from.
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
    messages: list[StoredMessage]


class MemoryQueues:
    """`Queues` in memory. Messages are received in the order of their sends; SQS's standard queues promise no order.

    Attributes:
        extra_delay: Called for each message that is sent. Returns the seconds by which the message becomes visible too
            late, because SQS does not promise an exact time.
        on_stored: Called for each message that a send or a redrive puts into a queue, with the queue's name and the
            message.
    """

    def __init__(self, clock: VirtualClock, rng: random.Random) -> None:
        """Start without queues; message ids come from `rng`."""
        self._clock = clock
        self._rng = rng
        self._queues: dict[str, _Queue] = {}
        self.extra_delay: Callable[[], float] = _no_extra_delay
        self.on_stored: Callable[[str, StoredMessage], None] = _ignore

    def create(
        self, name: str, *, dead_letter: str | None = None, max_receives: int = 10, retention: int = 4 * DAY_SECONDS
    ) -> None:
        """Create a queue.

        Args:
            name: Name of the queue.
            dead_letter: The dead-letter queue, which must exist already; None for none.
            max_receives: Receives after which a message moves to the dead-letter queue: SQS's `maxReceiveCount`.
            retention: Seconds that a message is kept, counted from its first send; SQS allows at most 14 days.
        """
        if dead_letter is not None:
            self._queue(dead_letter)
        self._queues[name] = _Queue(dead_letter, max_receives, retention * 1000, [])

    def send(self, queue: str, message: OutgoingMessage) -> str:
        """Send a message and return its message id."""
        messages = self._queue(queue).messages
        _check_message(message)
        now = self._clock.now()
        visible_at = now + round((message.delay + self.extra_delay()) * 1000)
        stored = StoredMessage(new_id(self._rng), message.body, now, visible_at, message.group)
        messages.append(stored)
        self.on_stored(queue, stored)
        return stored.message_id

    def send_batch(self, queue: str, messages: Sequence[OutgoingMessage]) -> list[str | OffloadError]:
        """Send messages; returns a message id or an error for each message, in order."""
        outcomes: list[str | OffloadError] = []
        for message in messages:
            try:
                outcomes.append(self.send(queue, message))
            except OffloadError as error:
                outcomes.append(error)
        return outcomes

    def receive(self, queue: str, *, limit: int, visibility: int, wait: int = 0) -> list[ReceivedMessage]:
        """Receive up to ten messages and hide them for `visibility` seconds.

        When no message can be received, time passes until one can, at most `wait` seconds.
        """
        _check_visibility(visibility)
        wait_until = self._clock.now() + wait * 1000
        while True:
            received = self._receive_visible(queue, min(limit, MOST_ENTRIES), visibility)
            now = self._clock.now()
            if received or now >= wait_until:
                return received
            moments = [message.visible_at for message in self._queue(queue).messages]
            moments += [due for due in (self._clock.next_due(),) if due is not None]
            self._clock.sleep((min([wait_until, *(moment for moment in moments if moment > now)]) - now) / 1000)

    def delete(self, queue: str, receipt: str) -> None:
        """Delete a received message; an outdated receipt handle deletes nothing."""
        stored_queue = self._queue(queue)
        stored_queue.messages = [message for message in stored_queue.messages if message.receipt != receipt]

    def change_visibility(self, queue: str, receipt: str, seconds: int) -> None:
        """Make a received message visible again in `seconds` from now, at most 43,200 seconds after its receive.

        Raises:
            Refused: The message would be hidden for more than 12 hours in all, or it is no longer in flight.
        """
        _check_visibility(seconds)
        now = self._clock.now()
        for message in self._queue(queue).messages:
            if message.receipt == receipt and message.visible_at > now:
                if now + seconds * 1000 > message.received_at + LONGEST_VISIBILITY * 1000:
                    raise Refused("the message's visibility would last more than 12 hours since its receive")
                message.visible_at = now + seconds * 1000
                return
        raise Refused("no message in flight has this receipt handle")

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

    def messages(self, queue: str) -> list[StoredMessage]:
        """Return copies of all messages in a queue, hidden ones included, for tests."""
        return [replace(message) for message in self._queue(queue).messages]

    def first_visible_at(self, queue: str) -> int | None:
        """Return when the first message of a queue can be received, in epoch milliseconds; None for an empty queue."""
        return min((message.visible_at for message in self._queue(queue).messages), default=None)

    def shuffle(self, queue: str, rng: random.Random) -> None:
        """Bring the messages of a queue into a random order."""
        rng.shuffle(self._queue(queue).messages)

    def make_visible_in(self, queue: str, message_id: str, seconds: float) -> None:
        """Make a message visible in `seconds` from now, without its receipt handle."""
        for message in self._queue(queue).messages:
            if message.message_id == message_id:
                message.visible_at = self._clock.now() + round(seconds * 1000)

    def receive_one(self, queue: str, message_id: str, *, visibility: int) -> ReceivedMessage:
        """Receive one message, hidden or visible.

        Raises:
            Refused: The message is not in the queue.
        """
        for message in self._queue(queue).messages:
            if message.message_id == message_id:
                return _receive(queue, message, self._clock.now(), visibility)
        raise Refused(f"queue {queue!r} has no message {message_id!r}")

    def delete_one(self, queue: str, message_id: str) -> None:
        """Delete a message without its receipt handle."""
        stored_queue = self._queue(queue)
        stored_queue.messages = [message for message in stored_queue.messages if message.message_id != message_id]

    def to_dead_letter_queue(self, queue: str, message_id: str) -> None:
        """Move a message to its queue's dead-letter queue, as SQS does after the last receive."""
        stored_queue = self._queue(queue)
        for message in stored_queue.messages:
            if message.message_id == message_id and stored_queue.dead_letter is not None:
                self._add_dead_letter(stored_queue.dead_letter, message, queue)
                self.delete_one(queue, message_id)

    def redrive(self, dead_letter: str, *, rate: int | None = None) -> None:  # noqa: ARG002 - all messages move at once
        """Move the visible messages of a dead-letter queue back, as SQS's `StartMessageMoveTask` does.

        A moved message has a new id and send time, and its receives are counted from zero.

        Raises:
            Refused: A message was sent to the dead-letter queue directly, so its source queue is unknown.
        """
        stored_queue, now = self._queue(dead_letter), self._clock.now()
        moving = [message for message in stored_queue.messages if message.visible_at <= now]
        if any(message.source is None for message in moving):
            raise Refused("CouldNotDetermineMessageSource: a message was sent to the dead-letter queue directly")
        stored_queue.messages = [message for message in stored_queue.messages if message not in moving]
        for message in moving:
            moved = StoredMessage(new_id(self._rng), message.body, now, now, message.group)
            self._queue(str(message.source)).messages.append(moved)
            self.on_stored(str(message.source), moved)

    def purge(self, queue: str) -> None:
        """Delete all messages of a queue."""
        self._queue(queue).messages.clear()

    def _queue(self, name: str) -> _Queue:
        """Return a queue, after deleting its messages whose retention is over."""
        if name not in self._queues:
            raise Refused(f"queue {name!r} does not exist")
        queue, now = self._queues[name], self._clock.now()
        queue.messages = [message for message in queue.messages if now - message.sent_at < queue.retention_ms]
        return queue

    def _receive_visible(self, name: str, limit: int, visibility: int) -> list[ReceivedMessage]:
        queue, now = self._queue(name), self._clock.now()
        kept: list[StoredMessage] = []
        received: list[ReceivedMessage] = []
        for message in queue.messages:
            if message.visible_at > now or len(received) == limit:
                kept.append(message)
            elif queue.dead_letter is not None and message.receives >= queue.max_receives:
                # SQS moves a message at the first receive above the limit, and does not return it to the receiver.
                self._add_dead_letter(queue.dead_letter, message, name)
            else:
                kept.append(message)
                received.append(_receive(name, message, now, visibility))
        queue.messages = kept
        return received

    def _add_dead_letter(self, dead_letter: str, message: StoredMessage, source: str) -> None:
        moved = replace(message, receipt=None, source=source, visible_at=self._clock.now())
        self._queue(dead_letter).messages.append(moved)


def _no_extra_delay() -> float:
    return 0.0


def _ignore(_queue: str, _message: StoredMessage) -> None:
    """Do nothing: the default of `MemoryQueues.on_stored`."""


def _receive(queue: str, message: StoredMessage, now: int, visibility: int) -> ReceivedMessage:
    """Count a receive of a message and hide the message; returns the message for the receiver."""
    message.receives += 1
    message.received_at = now
    message.visible_at = now + visibility * 1000
    message.receipt = f"{message.message_id}/{message.receives}"
    if message.first_received_at is None:
        message.first_received_at = now
    return ReceivedMessage(
        queue=queue,
        message_id=message.message_id,
        receipt=message.receipt,
        body=message.body,
        sent_at=message.sent_at,
        first_received_at=message.first_received_at,
        receives=message.receives,
    )


def _check_message(message: OutgoingMessage) -> None:
    size = len(message.body.encode())
    if not 0 < size <= LARGEST_MESSAGE:
        raise Refused(f"a message of {size} bytes is out of range: 1 to {LARGEST_MESSAGE}")
    if not 0 <= message.delay <= LONGEST_QUEUE_DELAY:
        raise Refused(f"a delay of {message.delay} s is out of range: 0 to {LONGEST_QUEUE_DELAY}")


def _check_visibility(seconds: int) -> None:
    if not 0 <= seconds <= LONGEST_VISIBILITY:
        raise Refused(f"a visibility of {seconds} s is out of range: 0 to {LONGEST_VISIBILITY}")
