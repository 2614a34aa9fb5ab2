"""Idempotency keys: one item for each key, which names the key's job for a day from its first use.

A key is reserved before its job's message is sent, and confirmed after. A producer that dies in between leaves a key
that is not confirmed. The next producer that uses the key sends the message again under the same job id; if there was a
message already, that does no harm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from offload.core.jobs.record import DAY_MS
from offload.core.jobs.state import State
from offload.core.writes import Condition, Test, Write

if TYPE_CHECKING:
    from offload.core.records import JobRecord, KeyRecord

KEY_LIFE_MS = DAY_MS
"""How long a key names its job."""


def key_item_id(task: str, key: str) -> str:
    """Return the id of a key's item; a key belongs to one task."""
    return f"key#{task}#{key}"


def reserve_key(item_id: str, job_id: str, now: int) -> Write[KeyRecord]:
    """Reserve a key that is free. Refused when it names a job; the refusal says which."""
    return _name_job(item_id, job_id, now, ((Test("id", "absent"),), (Test("until", "<=", now),)))


def reassign_key(item_id: str, old: str, job_id: str, now: int) -> Write[KeyRecord]:
    """Have a key name another job, since its old job never started; refused when another producer was faster."""
    return _name_job(item_id, job_id, now, ((Test("job", "=", old),),))


def _name_job(item_id: str, job_id: str, now: int, when: Condition) -> Write[KeyRecord]:
    until = now + KEY_LIFE_MS
    return Write(item_id, when=when, set={"job": job_id, "until": until, "ttl": until // 1000}, remove=("confirmed",))


def confirm_key(item_id: str, job_id: str) -> Write[KeyRecord]:
    """Note that the message of the key's job was sent."""
    return Write(item_id, when=((Test("job", "=", job_id),),), set={"confirmed": True})


def never_started(record: JobRecord | None) -> bool:
    """Tell whether a job ended without having started. Then nothing was done under its key, which is free again."""
    if record is None or "started_at" in record:  # a retry by hand sets `attempt` to 0 again, but not this
        return False
    return record.get("state") in (State.CANCELLED.value, State.EXPIRED.value)
