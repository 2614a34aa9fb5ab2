"""Queues on SQS, by name. URLs and ARNs are built from the name, so that no request looks them up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from offload.aws.calls import Call, Rejected
from offload.aws.regions import host, partition
from offload.core.clock import Clock, SystemClock
from offload.core.errors import OffloadError, Refused, Unavailable
from offload.core.ids import system_random
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
    from collections.abc import Iterator, Sequence

_MOST_ROUNDS = 4
"""Requests for one chunk of a batch: the first one, and three for entries that failed by SQS's fault."""

_BACKOFF_BASE = 0.1
_COUNT_ATTRIBUTES = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)


class SqsQueues:
    """`Queues` on SQS.

    A send is at-least-once: a message is sent again when the answer to its send was lost, so it may arrive twice.
    """

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
        """Keep where the queues are; nothing is called.

        Args:
            call: Transport to SQS.
            account: Account id of the queues.
            region: Region of the queues.
            endpoint: Start of the queues' URLs; None means the region's own endpoint.
            clock: Waits between the rounds of a batch.
            rng: Source of the jitter.
        """
        self._call = call
        url = endpoint or f"https://{host('sqs', region)}"
        self._url_prefix = f"{url.rstrip('/')}/{account}/"
        self._arn_prefix = f"arn:{partition(region).name}:sqs:{region}:{account}:"
        self._clock = clock or SystemClock()
        self._rng = rng or system_random()

    def send(self, queue: str, message: OutgoingMessage) -> str:
        """Send a message and return its message id."""
        if refusal := _refusal(message):
            raise refusal
        answer = self._call("SendMessage", {"QueueUrl": self._url_prefix + queue, **_entry(message)})
        return str(answer["MessageId"])

    def send_batch(self, queue: str, messages: Sequence[OutgoingMessage]) -> list[str | OffloadError]:
        """Send messages; returns a message id or an error for each message, in order.

        One request takes at most ten entries and 1 MiB, so many messages need several requests. An error answer of SQS
        is never raised. When a whole request fails, each of its entries has that error. An entry that fails by SQS's
        fault is sent again, up to three times, and then has the error `Unavailable`. Every other entry that fails has
        the error `Refused`.
        """
        outcomes: dict[int, str | OffloadError] = {}
        for index, message in enumerate(messages):
            if refusal := _refusal(message):
                outcomes[index] = refusal
        for chunk in _chunks([(index, message) for index, message in enumerate(messages) if index not in outcomes]):
            self._send_chunk(self._url_prefix + queue, dict(chunk), outcomes)
        return [outcomes[index] for index in range(len(messages))]

    def _send_chunk(
        self, url: str, pending: dict[int, OutgoingMessage], outcomes: dict[int, str | OffloadError]
    ) -> None:
        for attempt in range(_MOST_ROUNDS):
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

    def receive(self, queue: str, *, limit: int, visibility: int, wait: int = 0) -> list[ReceivedMessage]:
        """Receive up to ten messages and hide them for `visibility` seconds."""
        request = {
            "QueueUrl": self._url_prefix + queue,
            "MaxNumberOfMessages": min(limit, MOST_ENTRIES),
            "VisibilityTimeout": visibility,
            "WaitTimeSeconds": wait,
            "MessageSystemAttributeNames": ["All"],
        }
        return [_received(queue, raw) for raw in self._call("ReceiveMessage", request).get("Messages") or ()]

    def delete(self, queue: str, receipt: str) -> None:
        """Delete a received message; an outdated receipt handle deletes nothing."""
        try:
            self._call("DeleteMessage", {"QueueUrl": self._url_prefix + queue, "ReceiptHandle": receipt})
        except Rejected as error:
            # SQS refuses a receipt handle that it cannot read; the local engine refuses every outdated handle.
            if error.code != "ReceiptHandleIsInvalid":
                raise

    def change_visibility(self, queue: str, receipt: str, seconds: int) -> None:
        """Make a received message visible again in `seconds` from now, at most 43,200 seconds after its receive.

        Raises:
            Refused: The message would be hidden for more than 12 hours in all, or it is no longer in flight.
        """
        if not 0 <= seconds <= LONGEST_VISIBILITY:  # the local engine does not check the range
            raise Refused(f"a visibility of {seconds} s is out of range: 0 to {LONGEST_VISIBILITY}")
        request = {"QueueUrl": self._url_prefix + queue, "ReceiptHandle": receipt, "VisibilityTimeout": seconds}
        self._call("ChangeMessageVisibility", request)

    def redrive(self, dead_letter: str, *, rate: int | None = None) -> None:
        """Have SQS move all messages of a dead-letter queue back, in the background; see `Queues.redrive`."""
        request: dict[str, Any] = {"SourceArn": self._arn_prefix + dead_letter}
        if rate is not None:
            request["MaxNumberOfMessagesPerSecond"] = rate
        self._call("StartMessageMoveTask", request)

    def purge(self, queue: str) -> None:
        """Delete all messages of a queue. SQS needs up to a minute, and refuses another purge meanwhile."""
        self._call("PurgeQueue", {"QueueUrl": self._url_prefix + queue})

    def counts(self, queue: str) -> QueueCounts:
        """Read the approximate numbers of messages."""
        request = {"QueueUrl": self._url_prefix + queue, "AttributeNames": list(_COUNT_ATTRIBUTES)}
        attributes = self._call("GetQueueAttributes", request)["Attributes"]
        return QueueCounts(*(int(attributes.get(name, 0)) for name in _COUNT_ATTRIBUTES))


def _refusal(message: OutgoingMessage) -> Refused | None:
    """Return the error for a message that SQS would refuse.

    The check comes before the request, because SQS refuses a whole batch for one such message. The local engine accepts
    some of these messages.
    """
    size = len(message.body.encode())
    if not 0 < size <= LARGEST_MESSAGE:
        return Refused(f"a message of {size} bytes is out of range: 1 to {LARGEST_MESSAGE}")
    if not 0 <= message.delay <= LONGEST_QUEUE_DELAY:
        return Refused(f"a delay of {message.delay} s is out of range: 0 to {LONGEST_QUEUE_DELAY}")
    return None


def _entry(message: OutgoingMessage) -> dict[str, Any]:
    entry: dict[str, Any] = {"MessageBody": message.body}
    if message.delay:  # a FIFO queue refuses the delay of a single message, even a delay of 0
        entry["DelaySeconds"] = message.delay
    if message.group is not None:
        entry["MessageGroupId"] = message.group
    return entry


def _chunks(messages: list[tuple[int, OutgoingMessage]]) -> Iterator[list[tuple[int, OutgoingMessage]]]:
    chunk: list[tuple[int, OutgoingMessage]] = []
    chunk_size = 0
    for index, message in messages:
        size = len(message.body.encode())
        if chunk and (len(chunk) == MOST_ENTRIES or chunk_size + size > LARGEST_MESSAGE):
            yield chunk
            chunk, chunk_size = [], 0
        chunk.append((index, message))
        chunk_size += size
    if chunk:
        yield chunk


def _failure(failed: dict[str, Any]) -> OffloadError:
    message = f"SendMessageBatch: {failed.get('Code', '')}: {failed.get('Message', '')}"
    return Rejected(message, failed.get("Code", "")) if failed.get("SenderFault") else Unavailable(message)


def _received(queue: str, raw: dict[str, Any]) -> ReceivedMessage:
    attributes = raw["Attributes"]
    return ReceivedMessage(
        queue=queue,
        message_id=raw["MessageId"],
        receipt=raw["ReceiptHandle"],
        body=raw["Body"],
        sent_at=int(attributes["SentTimestamp"]),
        first_received_at=int(attributes["ApproximateFirstReceiveTimestamp"]),
        receives=int(attributes["ApproximateReceiveCount"]),
    )
