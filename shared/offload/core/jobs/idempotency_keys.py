"""Idempotency keys: one item for each key, which names the key's job for the key's window, from its first use.

A key is reserved before its job's message is sent, and confirmed after. A producer that dies in between leaves a key
that is not confirmed. The next producer that uses the key sends the message again under the same job id; if there was a
message already, that does no harm.

The item has a digest of the job's arguments, so that a use with other arguments is told.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from offload.core.errors import KeyReused, PayloadError
from offload.core.jobs.state import State
from offload.core.retention import DAY, RECORD_DAYS
from offload.core.writes import Condition, Test, Write

if TYPE_CHECKING:
    from collections.abc import Mapping

    from offload.core.records import JobRecord, KeyRecord

KEY_WINDOW = DAY
"""Seconds for which a key names its job, unless the task or the call says otherwise."""

SHORTEST_KEY_WINDOW, LONGEST_KEY_WINDOW = 60, 30 * DAY
"""Seconds. A job's record outlives the longest window, so that it can be told how the job of a key ended."""

assert LONGEST_KEY_WINDOW < RECORD_DAYS * DAY

_DIGEST_BYTES = 16


class KeyUse(NamedTuple):
    """One use of a key.

    Attributes:
        task: The task; a key belongs to one task.
        key: The key.
        digest: Digest of the arguments; see `digest_of`.
        window: Seconds for which the key names its job, if this use is the first.
        may_differ: The key's job is wanted although its arguments may be others.
    """

    task: str
    key: str
    digest: str
    window: float = KEY_WINDOW
    may_differ: bool = False

    @property
    def item_id(self) -> str:
        """The id of the key's item."""
        return f"key#{self.task}#{self.key}"

    def check_arguments(self, named: KeyRecord) -> None:
        """Refuse a use with other arguments than those of the job that the key names.

        Raises:
            KeyReused: They are others, and the caller has not said that they may be.
        """
        if not self.may_differ and named["digest"] != self.digest:
            raise KeyReused(self.task, self.key, named["job"])


def digest_of(task: str, payload: Mapping[str, Any]) -> str:
    """Return a digest of arguments: equal for equal JSON, whatever the order of its names. 32 hex digits.

    Raises:
        PayloadError: They cannot be written as JSON.
    """
    try:
        # Written twice: a name that is no text becomes one in JSON, and only texts can be sorted.
        plain = json.loads(json.dumps(payload, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise PayloadError(f"{task}: the payload cannot be written as JSON: {error}") from error
    canonical = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).digest()[:_DIGEST_BYTES].hex()


def reserve_key(use: KeyUse, job_id: str, now: int) -> Write[KeyRecord]:
    """Reserve a key that is free. Refused when it names a job; the refusal says which."""
    return _name_job(use, job_id, now, ((Test("id", "absent"),), (Test("until", "<=", now),)))


def reassign_key(use: KeyUse, old: str, job_id: str, now: int) -> Write[KeyRecord]:
    """Have a key name another job, since its old job never started; refused when another producer was faster."""
    return _name_job(use, job_id, now, ((Test("job", "=", old),),))


def _name_job(use: KeyUse, job_id: str, now: int, when: Condition) -> Write[KeyRecord]:
    until = now + int(use.window * 1000)
    named = {"job": job_id, "digest": use.digest, "until": until, "ttl": until // 1000}
    return Write(use.item_id, when=when, set=named, remove=("confirmed",))


def confirm_key(use: KeyUse, job_id: str) -> Write[KeyRecord]:
    """Note that the message of the key's job was sent; refused when the key names another job by now."""
    return Write(use.item_id, when=((Test("job", "=", job_id),),), set={"confirmed": True})


def never_started(record: JobRecord | None) -> bool:
    """Tell whether a job ended without having started. Then nothing was done under its key, which is free again."""
    if record is None or "started_at" in record:  # a retry by hand sets `attempt` to 0 again, but not this
        return False
    return record.get("state") in (State.CANCELLED.value, State.EXPIRED.value)
