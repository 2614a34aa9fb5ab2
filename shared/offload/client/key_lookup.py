"""Which job an idempotency key names, and whether its message still has to be sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from offload.core.errors import Unavailable
from offload.core.jobs.accepting import check_owner
from offload.core.jobs.idempotency_keys import never_started, reassign_key, reserve_key
from offload.core.writes import MOST_CONFLICTS, Conflict

if TYPE_CHECKING:
    from offload.core.clock import Clock
    from offload.core.jobs.idempotency_keys import KeyUse
    from offload.core.ports import JobStore
    from offload.core.records import KeyRecord


@dataclass(frozen=True, slots=True)
class KeyedJob:
    """The job that a key names.

    Attributes:
        job_id: Its id.
        created: The key was free and names this job since just now.
        sent: Its message is known to be sent.
    """

    job_id: str
    created: bool
    sent: bool


def job_of_key(store: JobStore, clock: Clock, use: KeyUse, fresh: str) -> KeyedJob:
    """Have a key name the job `fresh`, unless it names another already.

    A first use costs one write; a later one is refused once and reads the job's record.

    Args:
        store: Job table.
        clock: Time.
        use: How the key is used.
        fresh: Id of the job that is to be enqueued.

    Raises:
        KeyReused: The key names a job with other arguments.
        IdTaken: The id of the job that the key names belongs to another task.
        Unavailable: The table did not answer, or others changed the key's item again and again.
    """
    for _ in range(MOST_CONFLICTS):
        try:
            store.apply(reserve_key(use, fresh, clock.now()))
        except Conflict as conflict:
            named: KeyRecord | None = conflict.item
        else:
            return KeyedJob(fresh, created=True, sent=False)
        if named is None:
            continue  # deleted meanwhile, so it is free
        holder = named["job"]
        record = store.get(holder)
        if record is not None:
            check_owner(use.task, record)
        if not never_started(record) or holder == fresh:
            use.check_arguments(named)
            # A record is written only once the message is sent.
            return KeyedJob(holder, created=False, sent=record is not None or "confirmed" in named)
        try:
            store.apply(reassign_key(use, holder, fresh, clock.now()))
        except Conflict:
            continue  # another producer was faster
        return KeyedJob(fresh, created=True, sent=False)
    raise Unavailable(f"key={use.key!r} of task {use.task!r}: the key's record keeps changing; try again")
