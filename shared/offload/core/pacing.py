"""Rate limits: each start reserves a time slot with one conditional write, over all workers of a task.

The generic cell rate algorithm (ATM Forum, Traffic Management 4.0, 1996, in its virtual scheduling form): an item
holds the theoretical arrival time `tat` of the next start. A start takes the slot `tat - (burst - 1) * interval`, or
now if that is past, and moves `tat` one interval on. A job whose slot lies ahead sleeps in its queue until then, by one
change of visibility and without an attempt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from offload.core.delivery import life
from offload.core.jobs import DAY_MS, Item, State
from offload.core.writes import Test, Write

if TYPE_CHECKING:
    from offload.core.delivery import Delivery
    from offload.core.settings import RateLimit


_SEEN = ("state", "updated_at", "lease")


def idle(task: str, limit: RateLimit, now: int) -> Write:
    """Reserve a slot when no earlier reservation reaches into the future: the slot is now."""
    return Write(
        f"rate#{task}",
        when=((Test("id", "absent"),), (Test("tat", "<=", now),)),
        set={"tat": now + _interval_ms(limit), "ttl": (now + DAY_MS * 400) // 1000},
    )


def queued(task: str, limit: RateLimit) -> Write:
    """Reserve the slot after those that are taken."""
    return Write(f"rate#{task}", when=((Test("tat", "present"),),), add={"tat": _interval_ms(limit)})


def slot(item: Item, limit: RateLimit) -> int:
    """Return the slot, in epoch milliseconds, that a `queued` write reserved."""
    return int(item["tat"]) - limit.burst * _interval_ms(limit)


def hold(delivery: Delivery, item: Item | None, slot_at: int, now: int) -> Write:
    """Note a job's reserved slot in its record, so that it does not reserve another when it comes back.

    Refused when the record has changed since it was read as `item`.
    """
    same = [Test("id", "absent")] if item is None else [Test(name, "=", item[name]) for name in _SEEN if name in item]
    return Write(
        delivery.job_id,
        when=(tuple(same),),
        set={"slot_at": slot_at, "updated_at": now, "ttl": life(max(now, slot_at))},
        default={"state": State.PENDING.value, "attempt": 0, **delivery.facts, **delivery.beginning},
    )


def _interval_ms(limit: RateLimit) -> int:
    return max(1, round(limit.interval() * 1000))
