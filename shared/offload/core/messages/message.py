"""The message contract, version 1: what any producer may send to a task's queue.

The body is a JSON object. `payload` is required; every other field is optional and unknown ones are ignored.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard, cast

from offload.core.clock import epoch_ms
from offload.core.errors import DefinitionError, MessageError
from offload.core.ids import JOB_ID, RECORD_ID, check_job_id

if TYPE_CHECKING:
    from offload.core.records import BlobReference

VERSION = 1
MOST_HOPS = 50
"""Longest chain of tasks that enqueue tasks. Lambda's own guard (about 16) is switched off for our functions."""

MOST_REPLACED = 24
"""Entries of `replaces` and of `copied_at`, 50 bytes for both: so many copies are made in four hours of an outage.

The entries tell whether a message is, or stems from, the one that the record knows. Each claim notes the message that
it came by. So what matters are the copies since the last claim: those of one wait (a dozen or two in the longest line
of a rate limit), or of an outage in which no record can be written. A copy of a longer outage goes by `first_sent_at`,
which says when its row of copies has begun. Before a failure: the message is no redrive, and stays a dead letter. After
it: the message is one. What remains is a dead letter that was redriven within two hours of its copy, into an outage of
four hours more. It comes back to the dead-letter queue, and can be redriven again."""

_LONGEST_TEXT = 256
_YEAR_10000 = 253_402_300_800_000
_GROUP = re.compile(r"[!-~]{1,128}")
_UNSENDABLE = re.compile("[\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class Message:
    """A message; it owns its encoding and decoding. Times are epoch milliseconds.

    Attributes:
        payload: Arguments by name; None when they lie in S3 under `payload_ref`.
        id: Job id; None means the SQS message id is the job's.
        task: Task name.
        key: Idempotency key.
        tenant: Fairness group.
        lane: Priority lane it was sent to.
        expires_at: Not to be started after this.
        enqueued_at: When its producer sent it.
        parent: Job that enqueued it.
        hops: Tasks between it and the program that began the chain.
        workflow: Workflow it belongs to.
        payload_ref: `bucket` and `key` of a payload in S3.
        replaces: SQS ids of the messages that this one replaces, oldest first; only workers write it and what follows.
        copied_at: When each copy was made, oldest first.
        first_sent_at: When the message was sent that the first copy has replaced.
        timed: Whether a timer sends this copy, and not the worker that made it.
        unreturned: Whether workers received a message of the job and never returned it, so it may have killed them.
    """

    payload: dict[str, Any] | None = field(repr=False)
    id: str | None = None
    task: str | None = None
    key: str | None = None
    tenant: str | None = None
    lane: str | None = None
    expires_at: int | None = None
    enqueued_at: int | None = None
    parent: str | None = None
    hops: int = 0
    workflow: str | None = None
    payload_ref: BlobReference | None = None
    replaces: tuple[str, ...] = ()
    copied_at: tuple[int, ...] = ()
    first_sent_at: int | None = None
    timed: bool = False
    unreturned: bool = False

    def encode(self) -> str:
        """Write the body: compact JSON with unset fields left out."""
        body: dict[str, Any] = {"version": VERSION}
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if value not in (None, 0, (), False) or (name == "payload" and value is not None):
                body[name] = value
        return compact(body, allow_nan=False)

    @property
    def group(self) -> str | None:
        """The fairness group as SQS takes it: a tenant with blanks or beyond ASCII goes by its hash."""
        if not self.tenant or _GROUP.fullmatch(self.tenant):
            return self.tenant or None
        return hashlib.sha256(self.tenant.encode()).hexdigest()

    def check_hops(self) -> None:
        """Refuse a message at the end of too long a chain of tasks that enqueue each other.

        Raises:
            MessageError: The chain is longer than `MOST_HOPS`.
        """
        if self.hops > MOST_HOPS:
            raise MessageError(f"tasks enqueued each other more than {MOST_HOPS} deep; break the loop")

    def with_payload_at(self, ref: BlobReference) -> Message:
        """Return this message with its payload kept elsewhere."""
        return replace(self, payload=None, payload_ref=ref)

    @classmethod
    def decode(cls, body: str) -> Message:
        """Read a body.

        Raises:
            MessageError: It breaks the contract; names the field and what it takes.
        """
        try:
            data = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise MessageError(f"the body is not JSON: {error}") from error
        if not isinstance(data, dict):
            raise MessageError(f"the body must be a JSON object, not {_kind(data)}")
        if data.get("version", VERSION) != VERSION:
            raise MessageError(f"version {data['version']!r} is not known; this worker reads version {VERSION}")
        payload, ref = data.get("payload"), data.get("payload_ref")
        if payload is None and ref is None:
            raise MessageError("payload is missing: give an object with the task's arguments by name")
        if payload is not None and not isinstance(payload, dict):
            raise MessageError(f"payload must be an object with the arguments by name, not {_kind(payload)}")
        if ref is not None and not (
            isinstance(ref, dict) and all(isinstance(ref.get(k), str) for k in ("bucket", "key"))
        ):
            raise MessageError("payload_ref must be an object with the texts bucket and key")
        hops = data.get("hops", 0)
        if isinstance(hops, bool) or not isinstance(hops, int) or hops < 0:
            raise MessageError("hops must be a whole number of at least 0")
        return cls(
            payload=payload,
            payload_ref=cast("BlobReference | None", ref),
            hops=hops,
            replaces=_replaces(data),
            copied_at=_copied_at(data),
            first_sent_at=_first_sent_at(data),
            timed=data.get("timed") is True,
            unreturned=data.get("unreturned") is True,
            id=_job_id(data, "id"),
            parent=_parent(data),
            expires_at=_time(data, "expires_at"),
            enqueued_at=_time(data, "enqueued_at"),
            **{name: _text(data, name) for name in ("task", "key", "tenant", "lane", "workflow")},
        )


def compact(data: dict[str, Any], *, allow_nan: bool = True) -> str:
    """Write a body: no blanks, and escaped only what SQS does not take as it is.

    Raises:
        ValueError: A number is not finite, and `allow_nan` is False: JSON has no such numbers.
    """
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=allow_nan)
    return _UNSENDABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def job_id_of(body: str) -> str | None:
    """Return the job id a body names, even when the body breaks the contract elsewhere; None when there is none."""
    try:
        data = json.loads(body)
        return _job_id(data, "id") if isinstance(data, dict) else None
    except (ValueError, RecursionError, MessageError):
        return None


class AnyMessage(Protocol):
    """A message as any queue keeps it or hands it out."""

    @property
    def message_id(self) -> str:
        """SQS's id of it."""

    @property
    def body(self) -> str:
        """Its body."""

    @property
    def sent_at(self) -> int:
        """When it was sent, epoch milliseconds."""


def job_id_for(message: AnyMessage) -> str:
    """Return the job a message belongs to: the one that its body names, else the one of its SQS message id."""
    return job_id_of(message.body) or message.message_id


def _replaces(data: dict[str, Any]) -> tuple[str, ...]:
    # Only workers write this field, so no message is refused because of it.
    value = data.get("replaces")
    listed = value if isinstance(value, list) else []
    return tuple(item for item in listed if isinstance(item, str) and JOB_ID.fullmatch(item))[-MOST_REPLACED:]


def _copied_at(data: dict[str, Any]) -> tuple[int, ...]:
    value = data.get("copied_at")
    listed = value if isinstance(value, list) else []
    return tuple(item for item in listed if _is_moment(item))[-MOST_REPLACED:]


def _first_sent_at(data: dict[str, Any]) -> int | None:
    value = data.get("first_sent_at")
    return value if _is_moment(value) else None


def _is_moment(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value < _YEAR_10000


def _job_id(data: dict[str, Any], name: str) -> str | None:
    value = data.get(name)
    if value is None:
        return None
    try:
        return check_job_id(value)
    except DefinitionError as error:
        raise MessageError(f"{name}: {error}") from error


def _parent(data: dict[str, Any]) -> str | None:
    value = data.get("parent")
    return value if isinstance(value, str) and RECORD_ID.fullmatch(value) else _job_id(data, "parent")


def _text(data: dict[str, Any], name: str) -> str | None:
    value = data.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT:
        raise MessageError(f"{name} must be a text of at most {_LONGEST_TEXT} characters, not {_kind(value)}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise MessageError(f"{name} is not valid Unicode: {error.reason}") from error
    return value


def _time(data: dict[str, Any], name: str) -> int | None:
    value = data.get(name)
    if value is None:
        return None
    try:
        read = epoch_ms(value)
    except (ValueError, OverflowError):
        read = None
    if read is None or not 0 <= read < _YEAR_10000:
        raise MessageError(f"{name} must be epoch milliseconds or an ISO 8601 time")
    return read


def _kind(value: object) -> str:
    names = {"NoneType": "null", "str": "a text", "list": "an array", "dict": "an object", "bool": "a boolean"}
    return names.get(type(value).__name__, "a number")
