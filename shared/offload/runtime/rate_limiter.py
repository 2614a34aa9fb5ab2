"""Waiting for a slot of the rate limit; see `core/flow/rate_limit.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from offload.core.errors import Unavailable
from offload.core.flow.rate_limit import note_slot, slot_taken, take_free_slot, take_next_slot
from offload.core.jobs.claiming import EARLY_MS, can_start
from offload.core.writes import MOST_CONFLICTS, Conflict

if TYPE_CHECKING:
    from offload.core.flow.rate_limit import RateLimit
    from offload.core.jobs.claiming import ClaimRequest
    from offload.core.ports import JobStore


def slot_to_wait_for(request: ClaimRequest, limit: RateLimit, store: JobStore) -> int | None:
    """Return when a job may start, in epoch milliseconds, and reserve that slot; None when it may start now.

    A job that would not start anyway (it runs, it has ended, its backoff is not over) reserves nothing: the claim that
    follows deals with it.
    """
    delivery, now = request.delivery, request.now
    record = store.get(delivery.job_id)
    if not can_start(record, request):
        return None
    reserved = record.get("start_slot_at") if record is not None else None
    slot = _reserve(delivery.task, limit, store, now) if reserved is None else int(reserved)
    if slot <= now + EARLY_MS:
        return None
    if reserved is None:
        try:
            store.apply(note_slot(delivery, record, slot, now))
        except Conflict:
            return None  # the record has changed meanwhile: the claim will see it
    return slot


def _reserve(task: str, limit: RateLimit, store: JobStore, now: int) -> int:
    for _ in range(MOST_CONFLICTS):
        try:
            store.apply(take_free_slot(task, limit, now))
        except Conflict:
            pass
        else:
            return now
        try:
            return slot_taken(store.apply(take_next_slot(task, limit)), limit)
        except Conflict:
            continue  # the item was deleted between the two writes
    raise Unavailable(f"no slot could be reserved for task {task!r}")
