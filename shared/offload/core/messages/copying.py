"""Copies: what a worker sends in the place of a message, for the same job.

A copy has the body of its message and further fields, which say where it comes from:

- `id`, if the message has none: the message's own id, by which its job is known;
- `replaces` and `copied_at`: the ids of the messages before it, and when each copy was made;
- `first_sent_at`: when the message was sent that the first copy has replaced;
- `timed`, if a timer sends it;
- `unreturned`, if workers have received a message before it and never returned it, so that the message may have killed
  them. The copies of such a copy keep the field.

From these a worker tells a copy from a redriven message, which SQS sends anew with the body that it had; see
`core/jobs/claiming.py`.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from offload.core.messages.message import MOST_REPLACED, Message, compact

if TYPE_CHECKING:
    from offload.core.ports import ReceivedMessage
    from offload.core.records import BlobReference

LATEST_COPY_MS = 2 * 3_600_000
"""How long after it was made a copy is sent at the latest: its worker may stand still in between."""

LATEST_TIMED_MS = 25 * 3_600_000
"""The same for a copy that a timer sends. EventBridge Scheduler tries for 24 hours."""


def copy_body(received: ReceivedMessage, copied_at: int, *, timed: bool = False) -> str:
    """Return the body of a copy; unknown fields are kept.

    Args:
        received: The message that it replaces.
        copied_at: When the copy is sent, epoch milliseconds.
        timed: Whether a timer sends it.

    Raises:
        MessageError: The body breaks the contract, so that its job can only be rejected.
    """
    message = Message.decode(received.body)
    body = json.loads(received.body)
    for name, value in (("id", received.message_id), ("enqueued_at", received.sent_at)):
        if body.get(name) is None:  # null stands for absent
            body[name] = value
    body.pop("timed", None)
    return compact(body | _origin(received, message, copied_at, timed=timed))


def small_copy_body(received: ReceivedMessage, copied_at: int, ref: BlobReference, *, timed: bool = False) -> str:
    """Return the body of a copy whose payload lies in the bucket; unknown fields are left out, as they may be large."""
    message = Message.decode(received.body)
    known = replace(
        message,
        id=message.id or received.message_id,
        enqueued_at=received.sent_at if message.enqueued_at is None else message.enqueued_at,
        timed=False,
    )
    origin = _origin(received, message, copied_at, timed=timed)
    return compact({**json.loads(known.with_payload_at(ref).encode()), **origin})


def unreturned_body(body: str) -> str:
    """Return the body of a message that workers have received and never returned; its copies say so too."""
    return compact({**json.loads(body), "unreturned": True})


def resent_body(body: str, now: int) -> str:
    """Return the body of a timer's message that is sent at another time than it was made for.

    Should a timer send the other one all the same, the two can be told apart. A producer's own message is no copy, and
    stays as it is.
    """
    data = json.loads(body)
    data.pop("timed", None)
    if not data.get("copied_at"):
        return body
    return compact({**data, "copied_at": [*data["copied_at"][:-1], now]})


def _origin(received: ReceivedMessage, message: Message, copied_at: int, *, timed: bool) -> dict[str, object]:
    return {
        "replaces": [*message.replaces, received.message_id][-MOST_REPLACED:],
        "copied_at": [*message.copied_at, copied_at][-MOST_REPLACED:],
        "first_sent_at": origin_sent_at(message, received.sent_at),
        **({"timed": True} if timed else {}),
    }


def origin_sent_at(message: Message, sent_at: int) -> int:
    """Return when a message was sent; of a copy, when the message was sent that the first copy has replaced.

    Args:
        message: The message.
        sent_at: When SQS says that it was sent, epoch milliseconds. A redriven copy was sent long after it was made.
    """
    latest = LATEST_TIMED_MS if message.timed else LATEST_COPY_MS
    if message.first_sent_at is None or not message.copied_at or sent_at - message.copied_at[-1] > latest:
        return sent_at
    return message.first_sent_at
