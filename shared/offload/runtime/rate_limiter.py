"""Taking a slot of the rate limit, or a place in its line; see `core/flow/rate_limit.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

from offload.core.errors import Unavailable
from offload.core.flow.rate_limit import (
    HORIZON_MS,
    LEAD_MS,
    Late,
    Slot,
    next_step,
    note_place,
    place_of,
    slot_of,
)
from offload.core.writes import MOST_CONFLICTS, Conflict

if TYPE_CHECKING:
    import random

    from offload.core.flow.rate_limit import RateLimit
    from offload.core.jobs.claiming import ClaimRequest
    from offload.core.ports import JobStore
    from offload.core.records import JobRecord, RateRecord


class ComeBack(NamedTuple):
    """The message is to come back at epoch milliseconds `at`."""

    at: int


def take_slot(
    request: ClaimRequest,
    record: JobRecord | None,
    limit: RateLimit,
    store: JobStore,
    *,
    spare_ms: float,
    rng: random.Random,
) -> int | ComeBack:
    """Take a slot for a job that may be claimed, or a place in the line.

    Args:
        request: The claim that is to follow.
        record: The job's record as it was read.
        limit: The task's limit.
        store: Job table.
        spare_ms: What the invocation can spare for sleep.
        rng: Spreads those that come back late.

    Returns:
        The slot in epoch milliseconds, at most `HORIZON_MS` from now: the job may start then, not before.
    """
    delivery, now = request.delivery, request.now
    place = record.get("place_at") if record is not None else None
    if place is not None and now < place - LEAD_MS:
        return ComeBack(place - LEAD_MS)
    item = cast("RateRecord | None", store.get(f"rate#{delivery.task}"))
    horizon = int(min(max(spare_ms, 0), HORIZON_MS))
    for _ in range(MOST_CONFLICTS):
        step = next_step(item, delivery.task, limit, now, place=place, horizon_ms=horizon, rng=rng)
        if isinstance(step, Late):
            return ComeBack(step.until)
        try:
            item = store.apply(step.write)
        except Conflict as conflict:
            item = conflict.item
            continue
        if isinstance(step, Slot):
            return slot_of(item, limit)
        given = place_of(item, limit)
        try:
            store.apply(note_place(delivery, record, given, now))
        except Conflict:
            return ComeBack(now)  # the record has changed meanwhile: look at it again
        return ComeBack(given - LEAD_MS)
    raise Unavailable(f"no slot could be taken for task {delivery.task!r}: its rate limit's item keeps changing")
