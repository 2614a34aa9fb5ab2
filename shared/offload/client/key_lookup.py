"""Which job an idempotency key names, and whether its message still has to be sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from offload.core.errors import Unavailable
from offload.core.jobs.accepting import check_owner
from offload.core.jobs.idempotency_keys import job_of_id, names_job, never_started, reassign_key, reserve_key
from offload.core.writes import MOST_CONFLICTS, Conflict

if TYPE_CHECKING:
    from offload.core.clock import Clock
    from offload.core.jobs.idempotency_keys import KeyUse
    from offload.core.ports import JobStore
    from offload.core.records import JobRecord, KeyRecord


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


def job_of_key(store: JobStore, clock: Clock, use: KeyUse, fresh: str, known: JobRecord | None = None) -> KeyedJob:
    """Have a key name the job `fresh`, unless it names another already.

    A first use costs one write; a later one is refused once and reads the job's record. With `known`, the key is read
    instead: a key is not given to a job that is there already.

    Args:
        store: Job table.
        clock: Time.
        use: How the key is used.
        fresh: Id of the job that is to be enqueued.
        known: The record that there is under this id.

    Raises:
        KeyReused: The key names a job with other arguments.
        IdTaken: The id of the job that the key names belongs to another task; or the key is free, and the id that was
            given belongs to a job that was enqueued without the key.
        Unavailable: The table did not answer, or others changed the key's item again and again.
    """
    for _ in range(MOST_CONFLICTS):
        if known is not None:
            named = cast("KeyRecord | None", store.get(use.item_id))
            if not names_job(named, clock.now()):
                return KeyedJob(job_of_id(use, known), created=False, sent=True)
        else:
            try:
                store.apply(reserve_key(use, fresh, clock.now()))
            except Conflict as conflict:
                named = conflict.item
            else:
                return KeyedJob(fresh, created=True, sent=False)
        if named is None:
            continue  # deleted meanwhile, so it is free
        holder = named["job"]
        record: JobRecord | None = known if known is not None and holder == fresh else store.get(holder)
        found = named_job(use, named, record, fresh)
        if found is not None:
            return found
        if known is not None:
            return KeyedJob(job_of_id(use, known), created=False, sent=True)
        try:
            store.apply(reassign_key(use, holder, fresh, clock.now()))
        except Conflict:
            continue  # another producer was faster
        return KeyedJob(fresh, created=True, sent=False)
    raise Unavailable(f"key={use.key!r} of task {use.task!r}: the key's record keeps changing; try again")


def named_job(use: KeyUse, named: KeyRecord, record: JobRecord | None, fresh: str) -> KeyedJob | None:
    """Return the job that the item of a key names; None when the key is free, since that job never started.

    Args:
        use: How the key is used.
        named: The item of the key.
        record: The record of the job that it names.
        fresh: Id of the job that is to be enqueued.

    Raises:
        KeyReused: The job has other arguments.
        IdTaken: The job's id belongs to another task.
    """
    if record is not None:
        check_owner(use.task, record)
    if never_started(record) and named["job"] != fresh:
        return None
    use.check_arguments(named)
    # A record is written only once the message is sent.
    return KeyedJob(named["job"], created=False, sent=record is not None or "confirmed" in named)
