"""The type of a transport to AWS, and the classification of AWS errors.

A transport is a callable that takes an operation and its parameters and returns the answer. It repeats a request that
failed for a passing reason, within bounds. Every other error becomes the error that `classify` chooses, by the first
row that fits:

| answer of the service                                               | raised error                                 |
|---------------------------------------------------------------------|----------------------------------------------|
| `ConditionalCheckFailedException`                                   | `Conflict` with the stored item              |
| the same, after an attempt whose answer was lost                    | `Ambiguous`, a `Conflict`                    |
| `TransactionCanceledException`: a reason in `_TRANSIENT_REASONS`,   | `Unavailable`                                |
| and none is a failed condition                                      |                                              |
| a code in `THROTTLED` (too fast) or `TRANSIENT` (a passing fault)   | `Unavailable`                                |
| HTTP 429 or 5xx, whatever the code                                  | `Unavailable`                                |
| a code in `LASTING`: this request is invalid, whoever asks and when | `Rejected`, a `Refused` that keeps the code, |
|                                                                     | with `lasting=True`                          |
| anything else: credentials, permissions, missing resource, unknown  | `Rejected` with `lasting=False`              |

A request without an answer (a connection that was refused, reset or timed out, a body that is not JSON) is
`Unavailable`; the transports raise that error themselves. Error codes come as `namespace#Code`, as `Code:url` or, from
SQS's old protocol, as `AWS.SimpleQueueService.Code`. `classify` compares `Code` alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from offload.aws import items
from offload.core.errors import Refused, Unavailable
from offload.core.writes import Conflict

if TYPE_CHECKING:
    from offload.core.errors import OffloadError
    from offload.core.writes import Item, Write

Call = Callable[[str, dict[str, Any]], dict[str, Any]]
"""`call("UpdateItem", {...})` returns the answer, or raises `Conflict`, `Unavailable` or `Rejected`."""

MOST_BYTES = "MostBytes"
"""Parameter of `GetObject` that a transport reads by itself: bytes of the largest object that it returns."""

BRIEF = "Brief"
"""Parameter of a request that is given up after `BRIEF_SECONDS`, all its attempts included; not sent to the service."""

BRIEF_SECONDS = 1.5

THROTTLED = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "KmsThrottled",
        "LimitExceededException",
        "OverLimit",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
"""botocore's list, with SQS's own `OverLimit` (120,000 in flight) and `KmsThrottled`."""

TRANSIENT = frozenset(
    {
        "InternalError",
        "InternalFailure",
        "InternalServerError",
        "InternalServerException",
        "ReplicatedWriteConflictException",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "TransactionConflictException",
    }
)

LASTING = frozenset(
    {
        "BatchEntryIdsNotDistinct",
        "BatchRequestTooLong",
        "ConflictException",
        "EmptyBatchRequest",
        "EntityTooLarge",
        "InvalidAction",
        "InvalidAttributeValue",
        "InvalidBatchEntryId",
        "InvalidBucketName",
        "InvalidMessageContents",
        "InvalidParameterCombination",
        "InvalidParameterValue",
        "InvalidRequest",
        "ItemCollectionSizeLimitExceeded",
        "ItemCollectionSizeLimitExceededException",
        "KeyTooLongError",
        "MessageNotInflight",
        "MissingParameter",
        "NoSuchKey",
        "ReceiptHandleIsInvalid",
        "SerializationException",
        "TooManyEntriesInBatchRequest",
        "UnknownOperationException",
        "UnsupportedOperation",
        "ValidationError",
        "ValidationException",
    }
)
"""What is wrong with the request itself. A code that is in no list here may be cured by time, so it is not lasting."""

_TRANSIENT_REASONS = frozenset({"ProvisionedThroughputExceeded", "ThrottlingError", "TransactionConflict"})
_CONDITION_FAILED = "ConditionalCheckFailed"
_TOO_MANY_REQUESTS = 429
_SERVER_FAULTS = 500
_LONGEST_MESSAGE = 300
"""Characters of AWS's own message that an error of this library repeats."""


class Rejected(Refused):
    """AWS refused a request.

    Attributes:
        code: AWS's error code, without namespace, such as `ParameterNotFound`.
        answer: The whole body of the error, such as the `CancellationReasons` of a transaction.
    """

    def __init__(self, message: str, code: str, answer: dict[str, Any] | None = None) -> None:
        """Keep the code and the body."""
        super().__init__(message, lasting=code in LASTING)
        self.code = code
        self.answer = answer or {}


class NotBegun(Unavailable):
    """A service throttled a request, or was not reached: nothing of the request was carried out."""


class Throttled(NotBegun):
    """Requests come faster than the service takes them."""


class Ambiguous(Conflict):
    """The condition did not hold, but an earlier attempt of the same request may have been carried out.

    The earlier attempt got no answer. If it was carried out, the later attempt is in conflict with the effect of the
    request itself. The caller can compare the item with the request to find out.
    """


def classify(operation: str, status: int, code: str, answer: dict[str, Any], *, lost: bool = False) -> OffloadError:
    """Turn an error answer into the error to raise.

    Args:
        operation: The operation that was called, for the message.
        status: HTTP status.
        code: AWS's error code, with or without namespace.
        answer: The body of the error.
        lost: True when an earlier attempt of this request may have been carried out, because its answer was lost.
    """
    code = short_code(code)
    if code == f"{_CONDITION_FAILED}Exception":
        raw = answer.get("Item")
        item: Item | None = items.load_map(raw) if raw else None
        return Ambiguous(item) if lost else Conflict(item)
    message = f"{operation}: {code or f'HTTP {status}'}{_detail(answer)}"
    throttled = code in THROTTLED or status == _TOO_MANY_REQUESTS
    if code == "TransactionCanceledException":
        reasons = {reason.get("Code", "None") for reason in answer.get("CancellationReasons", ())}
        transient = bool(reasons & _TRANSIENT_REASONS) and _CONDITION_FAILED not in reasons
    else:
        transient = throttled or code in TRANSIENT or status >= _SERVER_FAULTS
    if not transient:
        return Rejected(message, code, answer)
    if status >= _SERVER_FAULTS:
        return Unavailable(message)
    return Throttled(message) if throttled else NotBegun(message)


def is_carried_out(write: Write[Any], item: Item) -> bool:
    """Return True when an item looks as if the write was carried out on it."""
    return (
        all(key in item and item[key] == value for key, value in write.set.items())
        and all(key in item for key in (*write.default, *write.add))
        and all(item.get(key, [])[-len(tail) :] == tail for key, tail in write.append.items() if tail)
        and not any(key in item for key in write.remove)
    )


def was_repeated(answer: dict[str, Any]) -> bool:
    """Tell whether a request was made more than once, so that the later one may have met the effect of the first."""
    return bool(answer.get("ResponseMetadata", {}).get("RetryAttempts"))


def short_code(code: str) -> str:
    """Return an error code without its namespace and without the URL behind it."""
    return code.rpartition("#")[2].partition(":")[0].rpartition(".")[2]


def _detail(answer: dict[str, Any]) -> str:
    text = answer.get("message") or answer.get("Message") or ""
    # A signature error quotes the whole signed request below its first line, and so the session token.
    first_line = str(text).partition("\n")[0][:_LONGEST_MESSAGE]
    return f": {first_line}" if first_line else ""
