"""What follows a job's end: the tasks named by `on_success` and `on_failure`.

The name is written into the record together with the state, and the follow-up job has an id made from the first job's.
Whoever meets an ended record that still names a follow-up enqueues it again; the id makes that harmless. A crash
between the end and the follow-up is thus repaired by the message, which is still there: a success is acknowledged only
afterwards, and a failure is received again on its way to the DLQ.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from offload.core.clock import iso
from offload.core.jobs import Item, State
from offload.core.writes import Test, Write

if TYPE_CHECKING:
    from offload.core.settings import Settings


_LONGEST_FIRST = 100


def marked(write: Write, settings: Settings) -> Write:
    """Return the write that ends a job with its follow-up task named in it, if there is one for that end."""
    follow_ups = {State.SUCCEEDED.value: settings.on_success, State.FAILED.value: settings.on_failure}
    target = follow_ups.get(write.set["state"])
    return write if target is None else replace(write, set={**write.set, "follow_up": target})


def follow_up_id(item: Item) -> str:
    """Return the follow-up's job id: the same however often it is enqueued, another after a redrive.

    A long id, such as that of a follow-up's follow-up, is shortened to its hash, which still tells it from every other.
    """
    end = "ok" if item["state"] == State.SUCCEEDED.value else "failed"
    first = str(item["id"])
    if len(first) > _LONGEST_FIRST:
        first = hashlib.sha256(first.encode()).hexdigest()
    return f"{first}.{end}.{item.get('redrives', 0)}"


def follow_up_payload(item: Item) -> dict[str, Any]:
    """Return the follow-up's payload: one argument `job` with the outcome; a result kept in S3 stays there."""
    error = item.get("error") or {}
    outcome = {
        "id": item["id"],
        "task": item["task"],
        "state": item["state"],
        "attempt": item.get("attempt", 0),
        "finished_at": iso(item["finished_at"]),
        "result": item.get("result"),
        "error": {name: error[name] for name in ("type", "message") if name in error} or None,
    }
    return {"job": {name: value for name, value in outcome.items() if value is not None}}


def followed(item: Item) -> Write:
    """Note that the follow-up was enqueued."""
    return Write(item["id"], when=((Test("finished_at", "=", item["finished_at"]),),), remove=("follow_up",))
