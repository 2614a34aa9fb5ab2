"""Idempotency keys: one item for each key, which names the key's job for the key's window, from its first use.

A key is reserved before its job's message is sent, and confirmed after. A producer that dies in between leaves a key
that is not confirmed. The next producer that uses the key sends the message again under the same job id; if there was a
message already, that does no harm.

The item has a digest of the job's arguments, so that a use with other arguments is told. Each item has a salt of its
own: equal arguments show nothing of it, and no list of digests that was made before fits.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, NamedTuple

from offload.core.errors import IdTaken, KeyReused, PayloadError
from offload.core.ids import new_id
from offload.core.jobs.arguments import canonical
from offload.core.jobs.state import State
from offload.core.retention import DAY, RECORD_DAYS
from offload.core.writes import Condition, Test, Write

if TYPE_CHECKING:
    import random
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
        arguments: The arguments as they are compared; see `core/jobs/arguments.py`.
        salt: The salt of their digest, if this use is the first.
        window: Seconds for which the key names its job, if this use is the first.
        may_differ: The key's job is wanted although its arguments may be others.
    """

    task: str
    key: str
    arguments: str
    salt: str
    window: float = KEY_WINDOW
    may_differ: bool = False

    @classmethod
    def of(
        cls,
        task: str,
        key: str,
        payload: Mapping[str, Any],
        rng: random.Random,
        *,
        window: float = KEY_WINDOW,
        may_differ: bool = False,
    ) -> KeyUse:
        """Return a use of a key, with a salt that is drawn.

        Raises:
            PayloadError: The arguments cannot be written as JSON.
        """
        return cls(task, key, compared(task, payload), new_id(rng), window, may_differ)

    @property
    def item_id(self) -> str:
        """The id of the key's item."""
        return key_item_id(self.task, self.key)

    def digest(self, salt: str) -> str:
        """Return the digest of the arguments: 32 hex digits."""
        return hashlib.blake2b(self.arguments.encode(), key=salt.encode(), digest_size=_DIGEST_BYTES).hexdigest()

    def check_arguments(self, named: KeyRecord) -> None:
        """Refuse a use with other arguments than those of the job that the key names.

        Raises:
            KeyReused: They are others, and the caller has not said that they may be.
        """
        if not self.may_differ and named["digest"] != self.digest(named["salt"]):
            raise KeyReused(self.task, self.key, named["job"])


def key_item_id(task: str, key: str) -> str:
    """Return the id of a key's item in the job table. No job id looks like it."""
    return f"key#{task}#{key}"


def compared(task: str, payload: Mapping[str, Any]) -> str:
    """Return arguments as they are compared.

    Raises:
        PayloadError: They cannot be written as JSON.
    """
    try:
        return canonical(payload)
    except (TypeError, ValueError, RecursionError) as error:
        raise PayloadError(f"{task}: the payload cannot be written as JSON: {error}") from error


def reserve_key(use: KeyUse, job_id: str, now: int) -> Write[KeyRecord]:
    """Reserve a key that is free. Refused when it names a job; the refusal says which."""
    return _name_job(use, job_id, now, ((Test("id", "absent"),), (Test("until", "<=", now),)))


def reassign_key(use: KeyUse, old: str, job_id: str, now: int) -> Write[KeyRecord]:
    """Have a key name another job, since its old job never started; refused when another producer was faster."""
    return _name_job(use, job_id, now, ((Test("job", "=", old),),))


def _name_job(use: KeyUse, job_id: str, now: int, when: Condition) -> Write[KeyRecord]:
    until = now + int(use.window * 1000)
    digest = use.digest(use.salt)
    named = {"job": job_id, "digest": digest, "salt": use.salt, "until": until, "ttl": until // 1000}
    return Write(use.item_id, when=when, set=named, remove=("confirmed",))


def confirm_key(task: str, key: str, job_id: str) -> Write[KeyRecord]:
    """Note that the message of the key's job was sent; refused when the key names another job by now."""
    return Write(key_item_id(task, key), when=((Test("job", "=", job_id),),), set={"confirmed": True})


def never_started(record: JobRecord | None) -> bool:
    """Tell whether a job ended without having started. Then nothing was done under its key, which is free again."""
    if record is None or "started_at" in record:  # a retry by hand sets `attempt` to 0 again, but not this
        return False
    return record.get("state") in (State.CANCELLED.value, State.EXPIRED.value)


def names_job(named: KeyRecord | None, now: int) -> bool:
    """Tell whether the item of a key names a job at a time."""
    return named is not None and named["until"] > now


def job_of_id(use: KeyUse, known: JobRecord) -> str:
    """Return the job that is there under the id of a request whose key is free: the job of an earlier use of the key.

    Raises:
        IdTaken: The job was enqueued without this key, so nothing says that it has the arguments of this use.
    """
    if known.get("key") != use.key:
        raise IdTaken(known["id"], use.task, use.key)
    return known["id"]
