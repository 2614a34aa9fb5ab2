"""Idempotency keys: one item a key, which names the key's job for a day from its first use.

A key is reserved before its job's message is sent and confirmed after it. A producer that dies in between leaves a key
that is not confirmed; the next one to use it sends the message again under the same job id, which is harmless when
there was one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from offload.core.jobs import DAY_MS, State
from offload.core.writes import Condition, Test, Write

if TYPE_CHECKING:
    from offload.core.jobs import Item

WINDOW_MS = DAY_MS
"""How long a key names its job."""


def slot_of(task: str, key: str) -> str:
    """Return the id of a key's item; a key belongs to one task."""
    return f"key#{task}#{key}"


def reserve(slot: str, job_id: str, now: int) -> Write:
    """Take a key that is free. Refused when it names a job; the refusal says which."""
    return _name(slot, job_id, now, ((Test("id", "absent"),), (Test("until", "<=", now),)))


def take_over(slot: str, old: str, job_id: str, now: int) -> Write:
    """Have a key name another job, since its old one never started; refused when another producer was faster."""
    return _name(slot, job_id, now, ((Test("job", "=", old),),))


def _name(slot: str, job_id: str, now: int, when: Condition) -> Write:
    until = now + WINDOW_MS
    return Write(slot, when=when, set={"job": job_id, "until": until, "ttl": until // 1000}, remove=("confirmed",))


def confirm(slot: str, job_id: str) -> Write:
    """Note that the job's message was sent."""
    return Write(slot, when=((Test("job", "=", job_id),),), set={"confirmed": True})


def frees(record: Item | None) -> bool:
    """Tell whether a job's record frees its key: it ended without ever having started, so nothing was done under it."""
    if record is None or "started_at" in record:  # a retry by hand sets `attempt` to 0 again, but not this
        return False
    return record.get("state") in (State.CANCELLED.value, State.EXPIRED.value)
