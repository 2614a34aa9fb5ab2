"""What the library needs from the outside. Each method is one request to the service behind it.

Adapters translate the service's errors once: `Conflict`, `Unavailable` (try again) or `Refused` (do not).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from offload.core.errors import OffloadError
    from offload.core.records import BlobReference, JobRecord
    from offload.core.writes import Record, Write

MOST_ENTRIES = 10
"""Entries of one SQS batch request."""

LONGEST_QUEUE_DELAY = 900
"""Seconds `DelaySeconds` can hold a message back."""

LONGEST_VISIBILITY = 43_200
"""Seconds a received message can be hidden, counted from its receive."""

LARGEST_MESSAGE = 1_048_576
"""Bytes of a message's body."""


class JobStore(Protocol):
    """The job table."""

    def apply(self, write: Write[Record]) -> Record:
        """Carry out a conditional write and return the item after it.

        Raises:
            Conflict: The condition did not hold; holds the item as it is.
        """

    def get(self, key: str) -> JobRecord | None:
        """Read one job's record, consistently."""

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

    def put(self, key: str, data: bytes) -> BlobReference:
        """Store bytes and return their reference: `bucket` and `key`."""

    def get(self, ref: BlobReference) -> bytes:
        """Read bytes.

        Raises:
            Refused: Nothing is there, or access is denied.
        """


class Timers(Protocol):
    """One-time schedules for what a queue cannot hold back long enough."""

    def send_at(self, name: str, queue: str, body: str, at: int) -> None:
        """Have `body` sent to `queue` at epoch milliseconds `at`, precise to 60 s. An existing name is kept."""
