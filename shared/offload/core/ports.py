"""What the library needs from the outside.

Each method is one request to the service behind it. A method with many entries makes one request for as many of them as
the service takes at once.

Adapters translate the service's errors once: `Conflict`, `Unavailable` (try again) or `Refused` (do not).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from offload.core.errors import OffloadError
    from offload.core.records import BlobReference, JobRecord
    from offload.core.writes import Record, Write

MOST_ENTRIES = 10
"""Entries of one SQS batch request."""

LONGEST_QUEUE_DELAY = 900
"""Seconds `DelaySeconds` can hold a message back."""

LONGEST_VISIBILITY = 43_200
"""Seconds a received message can be hidden, counted from its receive."""

MOST_IN_FLIGHT = 120_000
"""Messages of one standard queue that can be received and not yet deleted. Above that a receive gets nothing: an error,
`OverLimit`, or, when it waits as Lambda's pollers do, no message and no error."""

TIMER_LATENESS = 60
"""Seconds that a one-time schedule may fire late."""

LONGEST_DELIVERY, MOST_DELIVERIES = 86_400, 185
"""Seconds and attempts for which a schedule tries to deliver: the most that EventBridge offers."""

LARGEST_MESSAGE = 1_048_576
"""Bytes of a message's body."""

LARGEST_TIMED = 262_144
"""Bytes of the body that a one-time schedule sends."""


LARGEST_BLOB = 50 * 1024 * 1024
"""Bytes of a payload or result in the bucket. As JSON in Python it takes several times as much, and a function's memory
is some hundred megabytes."""


class JobStore(Protocol):
    """The job table."""

    def apply(self, write: Write[Record], *, brief: bool = False) -> Record:
        """Carry out a conditional write and return the item after it.

        Args:
            write: The write.
            brief: Give up after a second or two: somebody waits for the answer who can do without it.

        Raises:
            Conflict: The condition did not hold; holds the item as it is.
        """

    def apply_many(self, writes: Sequence[Write[Record]]) -> list[Record | OffloadError]:
        """Carry out conditional writes in as few requests as the store can; each holds or fails alone.

        The effect on one item is that of `apply`, in the order of the writes. Writes of different items have no order.

        Returns:
            For each write, in order: the item after it, or its error. A condition that did not hold is a `Conflict`
            with the item as it is; what the service did not get to is `Unavailable`; what it refuses is `Refused`.
        """

    def get(self, key: str, *, brief: bool = False) -> JobRecord | None:
        """Read one job's record, consistently; `brief` as in `apply`."""

    def get_many(self, keys: Iterable[str]) -> dict[str, JobRecord]:
        """Read records, consistently, in as few requests as the store can; a key without a record is left out.

        Raises:
            Unavailable: The service did not get to some of the keys.
        """

    def find(self, partition: str, *, limit: int) -> list[JobRecord]:
        """Read an index partition, newest first; records carry at least the projected attributes."""


class OutgoingMessage(NamedTuple):
    """A message to send: its body, delay in whole seconds (0 to 900) and fairness group."""

    body: str
    delay: int = 0
    group: str | None = None


class ReceivedMessage(NamedTuple):
    """A message as a queue hands it out. Times are epoch milliseconds.

    Attributes:
        queue: Name of the queue.
        message_id: SQS's id of it.
        receipt: Handle to delete it or change its visibility.
        body: Its body.
        sent_at: When it was sent.
        first_received_at: When it was first received.
        receives: How often it has been received, this time included.
    """

    queue: str
    message_id: str
    receipt: str
    body: str
    sent_at: int
    first_received_at: int
    receives: int


class QueueCounts(NamedTuple):
    """Approximate numbers of messages."""

    visible: int
    in_flight: int
    delayed: int


class Queues(Protocol):
    """Queues by name."""

    def send(self, queue: str, message: OutgoingMessage) -> str:
        """Send a message and return its message id."""

    def send_batch(self, queue: str, messages: Sequence[OutgoingMessage]) -> list[str | OffloadError]:
        """Send up to ten messages; returns a message id or an error for each, in order."""

    def receive(self, queue: str, *, limit: int, visibility: int, wait: int = 0) -> list[ReceivedMessage]:
        """Receive up to ten messages and hide them for `visibility` seconds."""

    def delete(self, queue: str, receipt: str) -> None:
        """Delete a received message."""

    def change_visibility(self, queue: str, receipt: str, seconds: int) -> None:
        """Make a received message visible again in `seconds` from now, 0 to 43,200 since its receive."""

    def counts(self, queue: str) -> QueueCounts:
        """Read the approximate numbers of messages."""

    def redrive(self, dead_letter: str, *, rate: int | None = None) -> None:
        """Have the service move all of a dead-letter queue back, at most `rate` messages a second, in the background.

        Raises:
            Refused: The service cannot (here), or moves it already.
        """

    def purge(self, queue: str) -> None:
        """Delete everything in a queue."""


class Blobs(Protocol):
    """The store of payloads and results that are too large for message or record."""

    @property
    def bucket(self) -> str:
        """Name of the stack's bucket, which `put` writes to."""

    def put(self, key: str, data: bytes) -> BlobReference:
        """Store bytes and return their reference: `bucket` and `key`.

        Raises:
            Refused: The bytes are more than `LARGEST_BLOB`, or access is denied.
        """

    def get(self, ref: BlobReference, *, most_bytes: int = LARGEST_BLOB) -> bytes:
        """Read at most `most_bytes`.

        Raises:
            Refused: Nothing is there, it is larger, or access is denied.
        """


class TimedMessage(NamedTuple):
    """What a one-time schedule sends: the name of the queue and the body."""

    queue: str
    body: str


class Timers(Protocol):
    """One-time schedules for what a queue cannot hold back long enough."""

    def send_at(self, name: str, queue: str, body: str, at: int) -> None:
        """Have `body` sent to `queue` at epoch milliseconds `at`, precise to 60 s. An existing name is kept.

        Names have 1 to 64 letters, digits and `_ . -`; see `core/messages/waiting.py: timer_name`.
        """

    def get(self, name: str) -> TimedMessage | None:
        """Read a schedule; None when there is none, or when it has fired."""

    def delete(self, name: str) -> None:
        """Delete a schedule; one that does not exist is no error."""
