"""Follow-ups: the tasks named by `on_success` and `on_failure`, which are enqueued when a job ends.

The write that ends a job also names the follow-up in the record. The follow-up's job id is made from the first job's
id. Whoever finds an ended record that still names a follow-up enqueues it again, which the id makes harmless. So a
crash between the end and the follow-up is repaired by the message, which is still there: it is acknowledged, or goes to
the dead-letter queue, only after the follow-up is enqueued.

While the follow-up's queue does not take it, the message waits, and tries again for `INSISTED_DAYS`. Then the follow-up
is given up.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from offload.core.clock import iso
from offload.core.ids import is_apart
from offload.core.jobs.state import State
from offload.core.retention import DAY
from offload.core.writes import Test, Write

if TYPE_CHECKING:
    from collections.abc import Mapping

    from offload.core.records import JobRecord

INSISTED_DAYS = 3
"""Days after a job's end in which its follow-up is tried. What breaks on a weekend is mended on Monday. A follow-up
that is refused for good must come to an end long before the job's record does: without its record, the message that
still waits would run the job again."""

_LONGEST_FIRST = 100


def with_follow_up(write: Write[JobRecord], follow_ups: Mapping[State, str]) -> Write[JobRecord]:
    """Return the write that ends a job with its follow-up named in it; `follow_ups` has a task for some ends."""
    target = follow_ups.get(State(write.set["state"])) if follow_ups else None
    return write if target is None else replace(write, set={**write.set, "follow_up": target})


def follow_up_id(record: JobRecord) -> str:
    """Return the follow-up's job id: the same however often it is enqueued, another after a redrive.

    A long id, such as that of a follow-up's follow-up, is shortened to its hash, which still tells it from every other.
    An id that no message can name goes by its hash too.
    """
    end = "ok" if record["state"] == State.SUCCEEDED.value else "failed"
    first = record["id"]
    if len(first) > _LONGEST_FIRST or is_apart(first):
        first = hashlib.sha256(first.encode()).hexdigest()
    return f"{first}.{end}.{record.get('redrives', 0)}"


def is_insisted_on(record: JobRecord, now: int) -> bool:
    """Tell whether a follow-up that could not be enqueued is tried again."""
    return now - record["finished_at"] < INSISTED_DAYS * DAY * 1000


def follow_up_payload(record: JobRecord, result: str | None) -> dict[str, Any]:
    """Return the follow-up's payload: one argument `job` with the outcome; `result` is the job's, as JSON text."""
    error = record.get("error")
    outcome = {
        "id": record["id"],
        "task": record["task"],
        "state": record["state"],
        "attempt": record.get("attempt", 0),
        "finished_at": iso(record["finished_at"]),
        "result": result,
        "error": {"type": error["type"], "message": error["message"]} if error else None,
    }
    return {"job": {name: value for name, value in outcome.items() if value is not None}}


def clear_follow_up(record: JobRecord) -> Write[JobRecord]:
    """Note that the follow-up was enqueued; refused when the job has ended once more since."""
    return Write(record["id"], when=((Test("finished_at", "=", record["finished_at"]),),), remove=("follow_up",))
