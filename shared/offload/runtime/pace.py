"""Waiting for a rate limit's slot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from offload.core import pacing
from offload.core.claiming import EARLY_MS, startable
from offload.core.errors import Unavailable
from offload.core.writes import Conflict

if TYPE_CHECKING:
    from offload.core.delivery import Delivery
    from offload.core.ports import JobStore
    from offload.core.settings import RateLimit


def slot_for(delivery: Delivery, limit: RateLimit, store: JobStore, now: int, max_attempts: int) -> int | None:
    """Return when a job may start, reserving a slot if it has none; None when it may start now.

    A job that would not start anyway (it runs, it has ended, its backoff is not over) reserves nothing: the claim that
    follows deals with it.
    """
    item = store.get(delivery.job_id)
    if not startable(item, delivery, now, max_attempts):
        return None
    reserved = item.get("slot_at") if item is not None else None
    slot = _reserve(delivery.task, limit, store, now) if reserved is None else int(reserved)
    if slot <= now + EARLY_MS:
        return None
    if reserved is None:
        try:
            store.apply(pacing.hold(delivery, item, slot, now))
        except Conflict:
            return None  # it changed state meanwhile: the claim will see
    return slot


def _reserve(task: str, limit: RateLimit, store: JobStore, now: int) -> int:
    for _ in range(3):
        try:
            store.apply(pacing.idle(task, limit, now))
        except Conflict:
            pass
        else:
            return now
        try:
            return pacing.slot(store.apply(pacing.queued(task, limit)), limit)
        except Conflict:
            continue  # the item was deleted between the two writes
    raise Unavailable(f"no slot could be reserved for task {task!r}")
