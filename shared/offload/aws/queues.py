"""Queues on SQS, by name: addresses are built, never looked up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from offload.aws.calls import Call, Rejected, host, partition
from offload.core.clock import Clock, SystemClock, system_random
from offload.core.errors import Refused, Unavailable
from offload.core.ports import LONGEST_QUEUE_DELAY, MOST_ENTRIES, Outgoing, QueueCounts, Received

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator, Sequence

LARGEST_MESSAGE = 1_048_576
"""Bytes of a message, and of a whole batch."""
LONGEST_VISIBILITY = 43_200
"""Seconds."""

_ROUNDS = 4
_BACKOFF_BASE = 0.1
_COUNTED = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)


class SqsQueues:
    """`Queues` on SQS. A send is at-least-once: one whose answer was lost is sent again and may arrive twice."""

    def __init__(
        self,
        call: Call,
        *,
        account: str,
        region: str,
        endpoint: str | None = None,
        clock: Clock | None = None,
        rng: random.Random | None = None,
    ) -> None:
        """Say where the queues are.

        Args:
            call: Transport to SQS.
            account: Account id of the queues.
            region: Their region.
            endpoint: Start of their addresses; None is the region's own.
            clock: Waits between the rounds of a batch.
            rng: Source of the jitter.
        """
        self._call = call
        start = endpoint or f"https://{host('sqs', region)}"
        self._start = f"{start.rstrip('/')}/{account}/"
        self._arns = f"arn:{partition(region)}:sqs:{region}:{account}:"
        self._clock = clock or SystemClock()
        self._rng = rng or system_random()

    def send(self, queue: str, message: Outgoing) -> str:
        """Send a message and return its message id."""
        if refusal := _refusal(message):
            raise refusal
        answer = self._call("SendMessage", {"QueueUrl": self._start + queue, **_entry(message)})
        return str(answer["MessageId"])

    def send_batch(self, queue: str, messages: Sequence[Outgoing]) -> list[str | Exception]:
        """Send messages; returns a message id or an error for each, in order.

        As many requests as the limits ask for: ten entries and 1 MiB each. Never raises for what SQS answers: a request
        that fails as a whole is the error of each of its entries. Entries that fail by SQS's fault are sent again, up
        to three times, then `Unavailable`; the others are `Refused`.
        """
        outcomes: dict[int, str | Exception] = {}
        for index, message in enumerate(messages):
            if refusal := _refusal(message):
                outcomes[index] = refusal
        for chunk in _chunks([(index, message) for index, message in enumerate(messages) if index not in outcomes]):
            self._send_chunk(self._start + queue, dict(chunk), outcomes)
        return [outcomes[index] for index in range(len(messages))]

    def _send_chunk(self, url: str, pending: dict[int, Outgoing], outcomes: dict[int, str | Exception]) -> None:
        for attempt in range(_ROUNDS):
            if attempt:
                self._clock.sleep(self._rng.uniform(0, _BACKOFF_BASE * 2**attempt))
            entries = [{"Id": str(index), **_entry(message)} for index, message in pending.items()]
            try:
                answer = self._call("SendMessageBatch", {"QueueUrl": url, "Entries": entries})
            except (Unavailable, Refused) as error:
                outcomes.update(dict.fromkeys(pending, error))
                return
            for sent in answer.get("Successful", ()):
                outcomes[int(sent["Id"])] = str(sent["MessageId"])
                del pending[int(sent["Id"])]
            for failed in answer.get("Failed", ()):
                outcomes[int(failed["Id"])] = _failure(failed)
                if failed.get("SenderFault"):
                    del pending[int(failed["Id"])]
            if not pending:
                return

    def receive(self, queue: str, *, limit: int, visibility: int, wait: int = 0) -> list[Received]:
        """Receive up to ten messages and hide them for `visibility` seconds."""
        request = {
            "QueueUrl": self._start + queue,
            "MaxNumberOfMessages": min(limit, MOST_ENTRIES),
            "VisibilityTimeout": visibility,
            "WaitTimeSeconds": wait,
            "MessageSystemAttributeNames": ["All"],
        }
        return [_received(raw) for raw in self._call("ReceiveMessage", request).get("Messages") or ()]

    def delete(self, queue: str, receipt: str) -> None:
        """Delete a received message; a receipt that is not in force any more deletes nothing."""
        try:
            self._call("DeleteMessage", {"QueueUrl": self._start + queue, "ReceiptHandle": receipt})
        except Rejected as error:
            # SQS accepts an old receipt in silence, except one it cannot read; the local engine refuses each.
            if error.code != "ReceiptHandleIsInvalid":
                raise

    def change_visibility(self, queue: str, receipt: str, seconds: int) -> None:
        """Make a received message visible again in `seconds` from now, 0 to 43,200 since its receive.

        Raises:
            Refused: More than 12 hours in all, or the message is not in flight any more.
        """
        if not 0 <= seconds <= LONGEST_VISIBILITY:  # the local engine takes anything
            raise Refused(f"a visibility of {seconds} s is out of range: 0 to {LONGEST_VISIBILITY}")
        request = {"QueueUrl": self._start + queue, "ReceiptHandle": receipt, "VisibilityTimeout": seconds}
        self._call("ChangeMessageVisibility", request)

    def redrive(self, dead_letter: str, *, rate: int | None = None) -> None:
        """Have SQS move all of a dead-letter queue back, in the background; see `Queues.redrive`."""
        request: dict[str, Any] = {"SourceArn": self._arns + dead_letter}
        if rate is not None:
            request["MaxNumberOfMessagesPerSecond"] = rate
        self._call("StartMessageMoveTask", request)

    def purge(self, queue: str) -> None:
        """Delete everything in a queue; SQS takes up to a minute, and refuses another purge within it."""
        self._call("PurgeQueue", {"QueueUrl": self._start + queue})

    def counts(self, queue: str) -> QueueCounts:
        """Read the approximate numbers of messages."""
        request = {"QueueUrl": self._start + queue, "AttributeNames": list(_COUNTED)}
        attributes = self._call("GetQueueAttributes", request)["Attributes"]
        return QueueCounts(*(int(attributes.get(name, 0)) for name in _COUNTED))


def _refusal(message: Outgoing) -> Refused | None:
    """Tell what SQS would refuse, before it fails a whole batch over it; the local engine takes some of it."""
    size = len(message.body.encode())
    if not 0 < size <= LARGEST_MESSAGE:
        return Refused(f"a message of {size} bytes is out of range: 1 to {LARGEST_MESSAGE}")
    if not 0 <= message.delay <= LONGEST_QUEUE_DELAY:
        return Refused(f"a delay of {message.delay} s is out of range: 0 to {LONGEST_QUEUE_DELAY}")
    return None


def _entry(message: Outgoing) -> dict[str, Any]:
    # A FIFO queue takes no delay of a single message, not even 0.
    entry: dict[str, Any] = {"MessageBody": message.body}
    if message.delay:
        entry["DelaySeconds"] = message.delay
    if message.group is not None:
        entry["MessageGroupId"] = message.group
    return entry


def _chunks(messages: list[tuple[int, Outgoing]]) -> Iterator[list[tuple[int, Outgoing]]]:
    chunk: list[tuple[int, Outgoing]] = []
    total = 0
    for index, message in messages:
        size = len(message.body.encode())
        if chunk and (len(chunk) == MOST_ENTRIES or total + size > LARGEST_MESSAGE):
            yield chunk
            chunk, total = [], 0
        chunk.append((index, message))
        total += size
    if chunk:
        yield chunk


def _failure(failed: dict[str, Any]) -> Exception:
    message = f"SendMessageBatch: {failed.get('Code', '')}: {failed.get('Message', '')}"
    return Rejected(message, failed.get("Code", "")) if failed.get("SenderFault") else Unavailable(message)


def _received(raw: dict[str, Any]) -> Received:
    attributes = raw["Attributes"]
    return Received(
        message_id=raw["MessageId"],
        receipt=raw["ReceiptHandle"],
        body=raw["Body"],
        sent_at=int(attributes["SentTimestamp"]),
        first_received_at=int(attributes["ApproximateFirstReceiveTimestamp"]),
        receives=int(attributes["ApproximateReceiveCount"]),
    )
