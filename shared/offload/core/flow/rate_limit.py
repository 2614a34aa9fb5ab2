"""Rate limits: every start of a task's job takes a slot, over all workers, and a job without one waits in a line.

The generic cell rate algorithm (ATM Forum, Traffic Management 4.0, 1996, in its virtual scheduling form): an item holds
the theoretical arrival time `tat` of the next start. A start takes the slot `tat - (burst - 1) * interval`, or now if
that is past, and moves `tat` one interval on. A worker takes a slot only if it can start the job in that very slot: the
slot is past or at most `HORIZON_MS` ahead, and the worker sleeps until then. So what delays a message never brings two
starts closer together than the limit allows.

A job without a slot waits in a line, see `line`. A job whose place has come may take any slot. A new job takes one only
when nobody waits, or when nobody has come for a slot: who was to come for it is gone.

The item notes the interval that it counts with. When a deployment changes the rate, what is ahead of now is counted
anew: so many starts have been allowed, and each of them weighs what the new rate says.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from offload.core.errors import DefinitionError
from offload.core.flow import line
from offload.core.jobs.record import DAY_MS
from offload.core.retention import LONGEST_DELAY
from offload.core.writes import Test, Write

if TYPE_CHECKING:
    from offload.core.flow.line import Standing
    from offload.core.records import RateRecord

HORIZON_MS = 3_000
"""How long a worker sleeps at most until its slot. A message comes back on the second, and a little late."""

IDLE_MS = 3_000
"""How long a slot is kept for the job that is next in the line, if half of an interval is not less."""

FASTEST = 300
"""Starts a second that a limit may have at most. Each start writes the limit's item, and that of a job which has waited
has written it before, when the job took its place. DynamoDB takes a thousand writes of one item a second, those that
are refused because another worker was faster among them. The writes of jobs that join the rear come to an end, see
`line.weight`."""

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LIFE_MS = DAY_MS * 400
_MICRO = 1_000
"""Microseconds in a millisecond. The item counts in them, since 300 starts a second are no whole milliseconds apart."""
_MOST_ROUNDED = 1.005


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A global limit over all workers of a task, such as `RateLimit("10/m")`.

    In any time of t seconds, at most `burst + t * rate` jobs start.

    Attributes:
        rate: Starts per unit: `N/s`, `N/m`, `N/h` or `N/d`; from one in 365 days to 300 a second.
        burst: Starts that may happen at once after a quiet time.
    """

    rate: str
    burst: int = 1

    def __post_init__(self) -> None:
        """Check the spelling and the bounds."""
        interval = self.interval()
        if interval * FASTEST < 1 or interval > LONGEST_DELAY:
            msg = (
                f"rate_limit: rate={self.rate!r} must be from '{86400 / LONGEST_DELAY:.4f}/d' to '{FASTEST}/s': every "
                "start writes one item of the job table, which takes 1,000 writes a second; without rate_limit, "
                "max_concurrency alone bounds the starts"
            )
            raise DefinitionError(msg)
        if isinstance(self.burst, bool) or not isinstance(self.burst, int) or self.burst < 1:
            msg = f"rate_limit: burst={self.burst!r} must be a whole number of at least 1"
            raise DefinitionError(msg)

    def interval(self) -> float:
        """Return the seconds between two starts at the full rate."""
        match = re.fullmatch(r"(\d+(?:\.\d+)?)/([smhd])", self.rate.strip()) if isinstance(self.rate, str) else None
        if match is None or float(match[1]) <= 0:
            msg = f"rate_limit: rate={self.rate!r} must be a count per s, m, h or d, such as '10/m'"
            raise DefinitionError(msg)
        return _UNITS[match[2]] / float(match[1])


class Slot(NamedTuple):
    """Take a slot by this write; `slot_of` tells from the item afterwards when it is."""

    write: Write[RateRecord]


class Place(NamedTuple):
    """Take a place in the line's front by this write; `place_of` tells from the item afterwards when it comes."""

    write: Write[RateRecord]


class Join(NamedTuple):
    """Take a number by this write; the item's `joined` is the job's number afterwards. Then decide again."""

    write: Write[RateRecord]


class Stand(NamedTuple):
    """Stand in the rear at `number` without a write: another job is counted for this one. Then decide again."""

    number: int


class Recount(NamedTuple):
    """Count what is ahead of now by the new rate, by this write. Then decide again."""

    write: Write[RateRecord]


class Look(NamedTuple):
    """Others are ahead: come back at epoch milliseconds `at`. As far as the item tells, the job starts at `start`."""

    at: int
    start: int


Step = Slot | Place | Join | Stand | Recount | Look


def next_step(
    item: RateRecord | None,
    task: str,
    limit: RateLimit,
    now: int,
    *,
    standing: Standing,
    horizon_ms: int,
    draw: float,
) -> Step:
    """Decide how a job that wants to start goes on.

    Args:
        item: The item of the task's limit, as it was read last.
        task: The task's name.
        limit: Its limit.
        now: Epoch milliseconds.
        standing: Where the job stands in the line. A place has come, or will within `LEAD_MS`.
        horizon_ms: How long the worker can sleep until a slot, 0 to `HORIZON_MS`.
        draw: A random number from 0 to 1 (exclusive). It decides whether a job that joins a long rear is counted.
    """
    known: RateRecord = item or {}
    item_id, interval, now_us = line.item_id(task), _interval(limit), now * _MICRO
    tat, end, life = known.get("tat", 0), known.get("line", 0), {"ttl": (now + _LIFE_MS) // 1000}
    counted = known.get("interval", interval)
    if counted != interval and max(tat, end) > now_us:
        same = (Test("interval", "=", counted), Test("tat", "=", tat))
        moved = {name: now_us + max(0, at - now_us) * interval // counted for name, at in (("tat", tat), ("line", end))}
        return Recount(Write(item_id, when=(same,), set={**moved, "interval": interval, **life}))
    early = (limit.burst - 1) * interval
    slot, latest_slot = max(tat - early, now_us), now_us + horizon_ms * _MICRO
    due, waiting = standing.place is not None, line.waiting(known)
    idle = tat + min(IDLE_MS * _MICRO, interval // 2) <= now_us
    nobody_waits = Test("line", "<=", now_us + HORIZON_MS * _MICRO)
    first = not waiting and end <= nobody_waits.value
    if slot <= latest_slot and (due or idle or first):
        left = line.taken_from(known, standing, in_order=False)
        if tat <= now_us:
            unused = ((Test("tat", "absent"),), (Test("tat", "<=", now_us),))
            when = unused if due or idle else _and_nobody_waits(unused, nobody_waits)
            fresh = {"tat": now_us + interval, "interval": interval, **left.set, **life}
            return Slot(Write(item_id, when=when, set=fresh, add=left.add))
        # Others may take slots meanwhile. A slot of the past, which nobody has used, cannot be taken any more.
        counts_alike = Test("interval", "=", interval)
        within = ((Test("tat", ">=", now_us), Test("tat", "<=", latest_slot + early), counts_alike),)
        when = within if due else _and_nobody_waits(within, nobody_waits)
        return Slot(Write(item_id, when=when, set={**left.set, **life}, add={"tat": interval, **left.add}))
    if standing.place is not None:
        # It is before those whose place comes with the next slot.
        return Look(max(now, math.ceil(slot / _MICRO) - 2 * line.LEAD_MS), math.ceil(slot / _MICRO))
    next_place, front = max(end, slot), max(line.FRONT_MS * _MICRO, line.FRONT_JOBS * interval)
    ahead, length = line.ahead(known, standing.number) * interval, next_place - now_us
    in_order = line.has_room(length, front, ahead, passed=line.was_passed(known, standing.number))
    if in_order or length <= front // (4 if standing.number is None else 2):
        left = line.taken_from(known, standing, in_order=in_order)
        if end == next_place:
            grown = {"line": interval, **left.add}
            return Place(Write(item_id, when=((Test("line", ">=", next_place),),), set={**left.set, **life}, add=grown))
        behind = ((Test("line", "absent"),), (Test("line", "<=", next_place),))
        begun = {"line": next_place + interval, "interval": interval, **left.set, **life}
        return Place(Write(item_id, when=behind, set=begun, add=left.add))
    if standing.number is None:
        return _join(known, Write(item_id, set={**line.begun_anew(known), **life}), draw)
    start = math.ceil((next_place + ahead) / _MICRO)
    return Look(line.next_look(start, now, front // _MICRO), start)


def _join(item: RateRecord, write: Write[RateRecord], draw: float) -> Join | Stand:
    weight = line.weight(item)
    if draw * weight >= 1:
        return Stand(item.get("joined", 0) + math.ceil(draw * weight))  # about as far as `joined` will have come
    return Join(replace(write, add={"joined": weight}))


def _and_nobody_waits(cases: tuple[tuple[Test, ...], ...], nobody_waits: Test) -> tuple[tuple[Test, ...], ...]:
    return tuple((*case, test) for case in cases for test in (Test("line", "absent"), nobody_waits))


def slot_of(item: RateRecord, limit: RateLimit) -> int:
    """Return the slot, in epoch milliseconds, that a write of `Slot` has taken."""
    return math.ceil((item["tat"] - limit.burst * _interval(limit)) / _MICRO)


def place_of(item: RateRecord, limit: RateLimit) -> int:
    """Return the place, in epoch milliseconds, that a write of `Place` has given."""
    return math.ceil((item["line"] - _interval(limit)) / _MICRO)


def _interval(limit: RateLimit) -> int:
    """Return the microseconds between two starts, never less than the limit says.

    Starts are made and measured in milliseconds. So the interval is whole milliseconds where that makes the rate
    smaller by half a percent at most.
    """
    milliseconds = limit.interval() * 1000
    whole = math.ceil(round(milliseconds, 6))
    return whole * _MICRO if whole <= milliseconds * _MOST_ROUNDED else math.ceil(round(milliseconds * _MICRO, 3))
