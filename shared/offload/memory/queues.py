"""Queues in memory, with the rules of SQS: visibility, delay, receive counts, dead-letter queues, retention, quotas."""

from __future__ import annotations

from typing import TYPE_CHECKING

from offload.core.errors import OffloadError, Refused, Unavailable
from offload.core.ids import new_id
from offload.core.ports import (
    LARGEST_MESSAGE,
    LONGEST_QUEUE_DELAY,
    LONGEST_VISIBILITY,
    MOST_ENTRIES,
    MOST_IN_FLIGHT,
    OutgoingMessage,
    QueueCounts,
    ReceivedMessage,
)
from offload.memory.queue import MemoryQueue, Place, StoredMessage

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from offload.memory.clock import VirtualClock

DAY_SECONDS = 86_400


class MemoryQueues:
    """`Queues` in memory. Messages are received in the order of their sends; SQS's standard queues promise no order.

    Attributes:
        extra_delay: Called for each message that is sent. Returns the seconds by which the message becomes visible too
            late, because SQS does not promise an exact time.
        on_stored: Called for each message that a send or a redrive puts into a queue, with the queue's name and the
            message.
        on_moved: Called for each message that comes to a dead-letter queue, with that queue's name and the message.
        most_in_flight: Messages of one queue that can be in flight.
    """

    def __init__(self, clock: VirtualClock, rng: random.Random) -> None:
        """Start without queues; message ids come from `rng`."""
        self._clock = clock
        self._rng = rng
        self._queues: dict[str, MemoryQueue] = {}
        self.extra_delay: Callable[[], float] = _no_extra_delay
        self.on_stored: Callable[[str, StoredMessage], None] = _ignore
        self.on_moved: Callable[[str, StoredMessage], None] = _ignore
        self.most_in_flight: int = MOST_IN_FLIGHT

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
        self._queues[name] = MemoryQueue(dead_letter, max_receives, retention * 1000)

    def send(self, queue: str, message: OutgoingMessage) -> str:
        """Send a message and return its message id."""
        stored_queue = self._queue(queue)
        _check_message(message)
        now = self._clock.now()
        visible_at = now + round((message.delay + self.extra_delay()) * 1000)
        stored = StoredMessage(new_id(self._rng), message.body, now, visible_at, message.group)
        stored_queue.add(stored, now)
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

        When no message can be received, time passes until one can, at most `wait` seconds. While too many messages are
        in flight, none can be received: like SQS, a receive that waits then answers that there is nothing.

        Raises:
            Unavailable: Too many messages are in flight, and the receive does not wait.
        """
        _check_visibility(visibility)
        wait_until = self._clock.now() + wait * 1000
        while True:
            received = self._receive_visible(queue, min(limit, MOST_ENTRIES), visibility)
            now = self._clock.now()
            if received or now >= wait_until:
                if not received and not wait and self._is_full(queue):
                    raise Unavailable(f"OverLimit: queue {queue!r} has {self.most_in_flight} messages in flight")
                return received
            moments = (self._queue(queue).next_visible_at(), self._clock.next_due())
            due = [moment for moment in moments if moment is not None and moment > now]
            self._clock.sleep((min([wait_until, *due]) - now) / 1000)

    def delete(self, queue: str, receipt: str) -> None:
        """Delete a received message; an outdated receipt handle deletes nothing."""
        stored_queue = self._queue(queue)
        message = stored_queue.find_received(receipt)
        if message is not None:
            stored_queue.remove(message)

    def change_visibility(self, queue: str, receipt: str, seconds: int) -> None:
        """Make a received message visible again in `seconds` from now, at most 43,200 seconds after its receive.

        Raises:
            Refused: The message would be hidden for more than 12 hours in all, or it is no longer in flight.
        """
        _check_visibility(seconds)
        stored_queue, now = self._queue(queue), self._clock.now()
        message = stored_queue.find_received(receipt)
        if message is None or message.visible_at <= now:
            raise Refused("no message in flight has this receipt handle")
        if now + seconds * 1000 > message.received_at + LONGEST_VISIBILITY * 1000:
            raise Refused("the message's visibility would last more than 12 hours since its receive")
        stored_queue.hide(message, now + seconds * 1000, now)

    def counts(self, queue: str) -> QueueCounts:
        """Read the numbers of messages."""
        stored_queue = self._queue(queue)
        return QueueCounts(*map(stored_queue.number_in, (Place.VISIBLE, Place.IN_FLIGHT, Place.DELAYED)))

    def names(self) -> list[str]:
        """Return the names of all queues, sorted."""
        return sorted(self._queues)

    def messages(self, queue: str) -> list[StoredMessage]:
        """Return copies of all messages in a queue, hidden ones included, for tests."""
        return [message.copied() for message in self._queue(queue)]

    def first_visible_at(self, queue: str) -> int | None:
        """Return when a message of a queue can be received, in epoch milliseconds; None when none ever can.

        While too many messages are in flight, this is when the first of them becomes visible.
        """
        stored_queue = self._queue(queue)
        if stored_queue.first_visible() is not None and not self._is_full(queue):
            return self._clock.now()
        return stored_queue.next_visible_at()

    def shuffle(self, queue: str, rng: random.Random) -> None:
        """Bring the visible messages at the head of a queue into a random order."""
        self._queue(queue).shuffle(rng)

    def make_visible_in(self, queue: str, message_id: str, seconds: float) -> None:
        """Make a message visible in `seconds` from now, without its receipt handle."""
        stored_queue, now = self._queue(queue), self._clock.now()
        message = stored_queue.find(message_id)
        if message is not None:
            stored_queue.hide(message, now + round(seconds * 1000), now)

    def receive_one(self, queue: str, message_id: str, *, visibility: int) -> ReceivedMessage:
        """Receive one message, hidden or visible.

        Raises:
            Refused: The message is not in the queue.
        """
        message = self._queue(queue).find(message_id)
        if message is None:
            raise Refused(f"queue {queue!r} has no message {message_id!r}")
        return self._receive(queue, message, visibility)

    def delete_one(self, queue: str, message_id: str) -> None:
        """Delete a message without its receipt handle."""
        stored_queue = self._queue(queue)
        message = stored_queue.find(message_id)
        if message is not None:
            stored_queue.remove(message)

    def to_dead_letter_queue(self, queue: str, message_id: str) -> None:
        """Move a message to its queue's dead-letter queue, as SQS does after the last receive."""
        message = self._queue(queue).find(message_id)
        if message is not None:
            self._move(queue, message)

    def redrive(self, dead_letter: str, *, rate: int | None = None) -> None:  # noqa: ARG002 - all messages move at once
        """Move the visible messages of a dead-letter queue back, as SQS's `StartMessageMoveTask` does.

        A moved message has a new id and send time, and its receives are counted from zero.

        Raises:
            Refused: A message was sent to the dead-letter queue directly, so its source queue is unknown.
        """
        stored_queue, now = self._queue(dead_letter), self._clock.now()
        moving = [message for message in stored_queue if message.visible_at <= now]
        if any(message.source is None for message in moving):
            raise Refused("CouldNotDetermineMessageSource: a message was sent to the dead-letter queue directly")
        for message in moving:
            stored_queue.remove(message)
            moved = StoredMessage(new_id(self._rng), message.body, now, now, message.group, source=dead_letter)
            self._queue(str(message.source)).add(moved, now)
            self.on_stored(str(message.source), moved)

    def purge(self, queue: str) -> None:
        """Delete all messages of a queue."""
        self._queue(queue).clear()

    def _queue(self, name: str) -> MemoryQueue:
        """Return a queue as it is now."""
        if name not in self._queues:
            raise Refused(f"queue {name!r} does not exist", lasting=False)
        queue = self._queues[name]
        queue.update(self._clock.now())
        return queue

    def _is_full(self, name: str) -> bool:
        return self._queues[name].number_in(Place.IN_FLIGHT) >= self.most_in_flight

    def _receive_visible(self, name: str, limit: int, visibility: int) -> list[ReceivedMessage]:
        queue = self._queue(name)
        chosen: list[StoredMessage] = []
        received: list[ReceivedMessage] = []
        while len(received) < limit and not self._is_full(name) and (message := queue.first_visible()) is not None:
            if queue.dead_letter is not None and message.receives >= queue.max_receives:
                # SQS moves a message at the first receive above the limit, and does not return it to the receiver.
                self._move(name, message)
            else:
                received.append(self._receive(name, message, max(visibility, _BRIEFLY)))
                chosen.append(message)
        if visibility < _BRIEFLY:
            now = self._clock.now()
            for message in chosen:
                queue.hide(message, now + visibility * 1000, now)
        return received

    def _receive(self, name: str, message: StoredMessage, visibility: int) -> ReceivedMessage:
        now = self._clock.now()
        self._queues[name].receive(message, now, now + visibility * 1000)
        return ReceivedMessage(
            queue=name,
            message_id=message.message_id,
            receipt=str(message.receipt),
            body=message.body,
            sent_at=message.sent_at,
            first_received_at=message.first_received_at or now,
            receives=message.receives,
        )

    def _move(self, name: str, message: StoredMessage) -> None:
        """Move a message to the dead-letter queue, if there is one."""
        queue, now = self._queues[name], self._clock.now()
        if queue.dead_letter is None:
            return
        queue.remove(message)
        moved = message.copied()
        moved.receipt, moved.source, moved.visible_at = None, name, now
        self._queue(queue.dead_letter).add(moved, now)
        self.on_moved(queue.dead_letter, moved)


_BRIEFLY = 1
"""Seconds that a message is hidden at least while others are received, so that one request receives it once."""


def _no_extra_delay() -> float:
    return 0.0


def _ignore(_queue: str, _message: StoredMessage) -> None:
    """Do nothing: the default of the attributes that are told of messages."""


def _check_message(message: OutgoingMessage) -> None:
    size = len(message.body.encode())
    if not 0 < size <= LARGEST_MESSAGE:
        raise Refused(f"a message of {size} bytes is out of range: 1 to {LARGEST_MESSAGE}")
    if not 0 <= message.delay <= LONGEST_QUEUE_DELAY:
        raise Refused(f"a delay of {message.delay} s is out of range: 0 to {LONGEST_QUEUE_DELAY}")


def _check_visibility(seconds: int) -> None:
    if not 0 <= seconds <= LONGEST_VISIBILITY:
        raise Refused(f"a visibility of {seconds} s is out of range: 0 to {LONGEST_VISIBILITY}")
