"""One queue in memory. No operation looks at all messages, so a long queue costs as little as a short one.

A message is *visible*, *in flight* (received and hidden) or *delayed* (hidden before its first receive). The visible
messages wait in the order of their sends; the hidden ones by the time at which they become visible. An entry of a heap
is out of force as soon as its message has moved on; such entries are dropped when they come to the top.
"""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

_SHUFFLED = 100
"""Messages at the head of a queue that `shuffle` brings into another order."""

_FEW_ENTRIES = 64
"""Entries of a heap that are never tidied up."""


class Place(Enum):
    """Where in its queue a message is."""

    VISIBLE = "visible"
    IN_FLIGHT = "in flight"
    DELAYED = "delayed"
    GONE = "gone"


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
        source: The queue that SQS moved the message from: to its dead-letter queue, or back.
        rank: Place in the order in which visible messages are received.
        place: Where in its queue the message is.
        move: Number of the last change of its place; entries of the queue with an older number are out of force.
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
    rank: int = 0
    place: Place = field(default=Place.GONE, repr=False, compare=False)
    move: int = field(default=0, repr=False, compare=False)

    def copied(self) -> StoredMessage:
        """Return a copy that is in no queue."""
        return replace(self, place=Place.GONE, move=0)


_Entry = tuple[int, int, str]
"""An entry of a heap: what it is sorted by, the number of the message's move that made it, and the message's id.

Tuples of numbers and texts alone are no burden for Python's garbage collector.
"""


class MemoryQueue:
    """The messages of one queue.

    Attributes:
        dead_letter: Name of the dead-letter queue; None for none.
        max_receives: Receives after which a message moves there.
        retention_ms: Milliseconds that a message is kept after its first send.
    """

    def __init__(self, dead_letter: str | None, max_receives: int, retention_ms: int) -> None:
        """Start empty."""
        self.dead_letter, self.max_receives, self.retention_ms = dead_letter, max_receives, retention_ms
        self.clear()

    def clear(self) -> None:
        """Drop all messages."""
        self._by_id: dict[str, StoredMessage] = {}
        self._by_receipt: dict[str, StoredMessage] = {}
        self._visible: list[_Entry] = []
        self._hidden: list[_Entry] = []
        self._by_age: list[tuple[int, str]] = []
        self._count: Counter[Place] = Counter()
        self._moves = self._ranks = 0

    def __len__(self) -> int:
        """Return the number of messages."""
        return len(self._by_id)

    def __iter__(self) -> Iterator[StoredMessage]:
        """Yield the messages in their order, hidden ones included."""
        return iter(sorted(self._by_id.values(), key=lambda message: message.rank))

    def find(self, message_id: str) -> StoredMessage | None:
        """Return the message of an id."""
        return self._by_id.get(message_id)

    def find_received(self, receipt: str) -> StoredMessage | None:
        """Return the message whose last receive gave this receipt handle."""
        return self._by_receipt.get(receipt)

    def number_in(self, place: Place) -> int:
        """Return how many messages are in a place."""
        return self._count[place]

    def add(self, message: StoredMessage, now: int) -> None:
        """Put a message at the end of the queue."""
        self._ranks += 1
        message.rank = self._ranks
        self._by_id[message.message_id] = message
        heapq.heappush(self._by_age, (message.sent_at, message.message_id))
        self._file(message, now)

    def remove(self, message: StoredMessage) -> None:
        """Take a message out of the queue."""
        del self._by_id[message.message_id]
        self._by_receipt.pop(message.receipt or "", None)
        self._count[message.place] -= 1
        message.place = Place.GONE
        message.move = 0
        if len(self._by_age) > _FEW_ENTRIES + 2 * len(self._by_id):
            self._by_age = [entry for entry in self._by_age if entry[1] in self._by_id]
            heapq.heapify(self._by_age)

    def hide(self, message: StoredMessage, until: int, now: int) -> None:
        """Make a message visible from epoch milliseconds `until` on, which may be at once."""
        self._count[message.place] -= 1
        message.visible_at = until
        self._file(message, now)

    def receive(self, message: StoredMessage, now: int, hidden_until: int) -> None:
        """Count a receive of a message, give it a receipt handle, and hide it."""
        self._by_receipt.pop(message.receipt or "", None)
        message.receives += 1
        message.received_at = now
        message.receipt = f"{message.message_id}/{message.receives}"
        if message.first_received_at is None:
            message.first_received_at = now
        self._by_receipt[message.receipt] = message
        self.hide(message, hidden_until, now)

    def update(self, now: int) -> None:
        """Drop the messages whose retention is over, and show those whose time has come."""
        while self._by_age and now - self._by_age[0][0] >= self.retention_ms:
            old = self._by_id.get(heapq.heappop(self._by_age)[1])
            if old is not None:
                self.remove(old)
        while self._hidden and (self._hidden[0][0] <= now or self._message_of(self._hidden[0]) is None):
            message = self._message_of(heapq.heappop(self._hidden))
            if message is not None:
                self._count[message.place] -= 1
                self._file(message, now)

    def first_visible(self) -> StoredMessage | None:
        """Return the next message that can be received; None when all are hidden."""
        while self._visible:
            message = self._message_of(self._visible[0])
            if message is not None:
                return message
            heapq.heappop(self._visible)
        return None

    def next_visible_at(self) -> int | None:
        """Return when the next hidden message becomes visible, epoch milliseconds; call `update` first."""
        return self._hidden[0][0] if self._hidden else None

    def shuffle(self, rng: random.Random) -> None:
        """Bring the visible messages at the head of the queue into a random order."""
        head: list[StoredMessage] = []
        while len(head) < _SHUFFLED and (message := self.first_visible()) is not None:
            heapq.heappop(self._visible)
            head.append(message)
        ranks = [message.rank for message in head]
        rng.shuffle(ranks)
        for message, rank in zip(head, ranks, strict=True):
            message.rank = rank
            heapq.heappush(self._visible, (rank, message.move, message.message_id))

    def _file(self, message: StoredMessage, now: int) -> None:
        """Enter a message where it belongs; an entry that it had before is out of force from now on."""
        self._moves += 1
        message.move = self._moves
        if message.visible_at <= now:
            place, heap, key = Place.VISIBLE, self._visible, message.rank
        else:
            place = Place.IN_FLIGHT if message.receives else Place.DELAYED
            heap, key = self._hidden, message.visible_at
        message.place = place
        self._count[place] += 1
        heapq.heappush(heap, (key, self._moves, message.message_id))
        if len(heap) > _FEW_ENTRIES + 2 * len(self._by_id):
            heap[:] = [entry for entry in heap if self._message_of(entry) is not None]
            heapq.heapify(heap)

    def _message_of(self, entry: _Entry) -> StoredMessage | None:
        """Return the message of an entry that is in force; else None."""
        message = self._by_id.get(entry[2])
        return message if message is not None and message.move == entry[1] else None
