"""Taking a slot of the rate limit, or a place in its line; see `core/flow/rate_limit.py`."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, cast

from offload.core.errors import Refused, Unavailable
from offload.core.flow.line import (
    LEAD_MS,
    Standing,
    before_expiry,
    is_noted,
    item_id,
    leave_line,
    note_standing,
)
from offload.core.flow.rate_limit import HORIZON_MS, Join, Look, Place, Slot, Stand, next_step, place_of, slot_of
from offload.core.writes import MOST_CONFLICTS, Conflict

if TYPE_CHECKING:
    from offload.core.flow.rate_limit import RateLimit
    from offload.core.jobs.claiming import ClaimRequest
    from offload.core.ports import JobStore
    from offload.core.records import JobRecord, RateRecord


class ComeBack(NamedTuple):
    """The message is to come back at epoch milliseconds `at`."""

    at: int


def take_slot(
    request: ClaimRequest, record: JobRecord | None, limit: RateLimit, store: JobStore, *, spare_ms: float, draw: float
) -> int | ComeBack:
    """Take a slot for a job that may be claimed, or a place in the line.

    Args:
        request: The claim that is to follow.
        record: The job's record as it was read.
        limit: The task's limit.
        store: Job table.
        spare_ms: What the invocation can spare for sleep.
        draw: As `next_step` takes it.

    Returns:
        The slot in epoch milliseconds, at most `HORIZON_MS` from now: the job may start then, not before.
    """
    delivery, now = request.delivery, request.now
    standing = Standing.read(record)
    if standing.place is not None and now < standing.place - LEAD_MS:
        return ComeBack(before_expiry(standing.place - LEAD_MS, now, delivery, record))
    item = cast("RateRecord | None", store.get(item_id(delivery.task)))
    horizon = int(min(max(spare_ms, 0), HORIZON_MS))
    for _ in range(MOST_CONFLICTS):
        step = next_step(item, delivery.task, limit, now, standing=standing, horizon_ms=horizon, draw=draw)
        if isinstance(step, Stand):
            standing = Standing(number=step.number)
            continue
        if isinstance(step, Look):
            return _note(request, record, standing, step.start, store) or ComeBack(
                before_expiry(step.at, now, delivery, record)
            )
        try:
            item = store.apply(step.write)
        except Conflict as conflict:
            item = conflict.item
            continue
        if isinstance(step, Slot):
            return slot_of(item, limit)
        if isinstance(step, Join):
            standing = Standing(number=item["joined"])
        if isinstance(step, Place):
            place = place_of(item, limit)
            return _note(request, record, Standing(place), place, store) or ComeBack(
                before_expiry(place - LEAD_MS, now, delivery, record)
            )
    raise Unavailable(f"no slot could be taken for task {delivery.task!r}: its rate limit's item keeps changing")


def _note(
    request: ClaimRequest, record: JobRecord | None, standing: Standing, start: int, store: JobStore
) -> ComeBack | None:
    """Note where the job stands; a message whose job's record has changed meanwhile is looked at again."""
    if not is_noted(record, standing, start):
        try:
            store.apply(note_standing(request.delivery, record, standing, start, request.now))
        except Conflict:
            return ComeBack(request.now)
    return None


def leave(record: JobRecord, store: JobStore) -> None:
    """Count a job that has ended out of the line, if it was in one. Without an answer, the line finds out later."""
    write = leave_line(record)
    if write is not None:
        with suppress(Conflict, Unavailable, Refused):
            store.apply(write)
