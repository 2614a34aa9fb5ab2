"""Rate limits: every start of a task's job takes a slot, over all workers, and a job without one waits in a line.

The generic cell rate algorithm (ATM Forum, Traffic Management 4.0, 1996, in its virtual scheduling form): an item holds
the theoretical arrival time `tat` of the next start. A start takes the slot `tat - (burst - 1) * interval`, or now if
that is past, and moves `tat` one interval on. A worker takes a slot only if it can start the job in that very slot: the
slot is past or at most `HORIZON_MS` ahead, and the worker sleeps until then. So what delays a message never brings two
starts closer together than the limit allows.

A job without a slot gets a place in a line. A place is a moment; the item's `line` is the place of the job that joins
next. The job's record notes its place (`place_at`), and its message waits until shortly before. A job whose place has
come may take any slot; a new job takes one only when nobody waits. Places follow each other at the rate, so the jobs
come back one by one.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from offload.core.errors import DefinitionError
from offload.core.jobs.record import DAY_MS, first_attributes, first_history, record_ttl
from offload.core.jobs.state import State
from offload.core.writes import Test, Write

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping

    from offload.core.messages.delivery import Delivery
    from offload.core.records import JobRecord, RateRecord

HORIZON_MS = 3_000
"""How long a worker sleeps at most until its slot. A message comes back on the second, and a little late."""

LEAD_MS = 1_000
"""A job comes back this much before its place: its message takes a while to be received."""

_LONGEST_LATE_WAIT_MS = 900_000
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LIFE_MS = DAY_MS * 400
_UNCHANGED = ("task", "state", "updated_at", "lease")
_MICRO = 1_000
"""Microseconds in a millisecond. The item counts in them, since 300 starts a second are no whole milliseconds apart."""
_MOST_ROUNDED = 1.005


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A global limit over all workers of a task, such as `RateLimit("10/m")`.

    In any time of t seconds, at most `burst + t * rate` jobs start.

    Attributes:
        rate: Starts per unit: `N/s`, `N/m`, `N/h` or `N/d`.
        burst: Starts that may happen at once after a quiet time.
    """

    rate: str
    burst: int = 1

    def __post_init__(self) -> None:
        """Check the spelling."""
        if self.interval() <= 0 or isinstance(self.burst, bool) or not isinstance(self.burst, int) or self.burst < 1:
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
    """Join the line by this write; `place_of` tells from the item afterwards when the place comes."""

    write: Write[RateRecord]


class Late(NamedTuple):
    """Its place has come, but others are ahead: come back at epoch milliseconds `until`."""

    until: int


def next_step(
    item: RateRecord | None,
    task: str,
    limit: RateLimit,
    now: int,
    *,
    place: int | None,
    horizon_ms: int,
    rng: random.Random,
) -> Slot | Place | Late:
    """Decide how a job that wants to start goes on.

    Args:
        item: The item of the task's limit, as it was read last.
        task: The task's name.
        limit: Its limit.
        now: Epoch milliseconds.
        place: The job's place, if it has one; it has come, or will within `LEAD_MS`.
        horizon_ms: How long the worker can sleep until a slot, 0 to `HORIZON_MS`.
        rng: Spreads those that come back late.
    """
    item_id, interval = f"rate#{task}", _interval(limit)
    now_us, life = now * _MICRO, {"ttl": (now + _LIFE_MS) // 1000}
    tat, line = (item.get("tat", 0), item.get("line", 0)) if item else (0, 0)
    early = (limit.burst - 1) * interval
    slot, latest_slot = max(tat - early, now_us), now_us + horizon_ms * _MICRO
    nobody_waits = Test("line", "<=", now_us + HORIZON_MS * _MICRO)
    passes = place is not None or line <= nobody_waits.value
    if passes and slot <= latest_slot:
        if tat <= now_us:
            unused = ((Test("tat", "absent"),), (Test("tat", "<=", now_us),))
            when = unused if place is not None else _and_nobody_waits(unused, nobody_waits)
            return Slot(Write(item_id, when=when, set={"tat": now_us + interval, **life}))
        # Others may take slots meanwhile. A slot of the past, which nobody has used, cannot be taken any more.
        within = ((Test("tat", ">=", now_us), Test("tat", "<=", latest_slot + early)),)
        when = within if place is not None else _and_nobody_waits(within, nobody_waits)
        return Slot(Write(item_id, when=when, set=life, add={"tat": interval}))
    if place is not None:
        late = min(max(now - place, 0), _LONGEST_LATE_WAIT_MS)
        return Late(now + max(math.ceil((slot - now_us) / _MICRO) - LEAD_MS, int(rng.uniform(0.5, 1.0) * late)))
    next_place = max(line, slot)
    if line == next_place:
        return Place(Write(item_id, when=((Test("line", ">=", next_place),),), set=life, add={"line": interval}))
    behind = ((Test("line", "absent"),), (Test("line", "<=", next_place),))
    return Place(Write(item_id, when=behind, set={"line": next_place + interval, **life}))


def _and_nobody_waits(cases: tuple[tuple[Test, ...], ...], nobody_waits: Test) -> tuple[tuple[Test, ...], ...]:
    return tuple((*case, test) for case in cases for test in (Test("line", "absent"), nobody_waits))


def slot_of(item: RateRecord, limit: RateLimit) -> int:
    """Return the slot, in epoch milliseconds, that a write of `Slot` has taken."""
    return math.ceil((item["tat"] - limit.burst * _interval(limit)) / _MICRO)


def place_of(item: RateRecord, limit: RateLimit) -> int:
    """Return the place, in epoch milliseconds, that a write of `Place` has given."""
    return math.ceil((item["line"] - _interval(limit)) / _MICRO)


def note_place(delivery: Delivery, record: JobRecord | None, place: int, now: int) -> Write[JobRecord]:
    """Note a job's place in its record, so that it does not join the line again when it comes back.

    Refused when the record has changed since it was read as `record`.
    """
    read: Mapping[str, object] = record or {}
    same = [Test(name, "=", read[name]) for name in _UNCHANGED if name in read] if record else [Test("id", "absent")]
    return Write(
        delivery.job_id,
        when=(tuple(same),),
        set={"place_at": place, "updated_at": now, "ttl": record_ttl(max(now, place))},
        default={
            "state": State.PENDING.value,
            "attempt": 0,
            **first_attributes(delivery),
            **first_history(delivery),
        },
    )


def _interval(limit: RateLimit) -> int:
    """Return the microseconds between two starts, never less than the limit says.

    Starts are made and measured in milliseconds. So the interval is whole milliseconds where that makes the rate
    smaller by half a percent at most.
    """
    milliseconds = limit.interval() * 1000
    whole = math.ceil(round(milliseconds, 6))
    return whole * _MICRO if whole <= milliseconds * _MOST_ROUNDED else math.ceil(round(milliseconds * _MICRO, 3))
