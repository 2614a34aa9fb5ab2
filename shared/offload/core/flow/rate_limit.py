"""Rate limits: every start of a task's job reserves a time slot with one conditional write, over all workers.

The generic cell rate algorithm (ATM Forum, Traffic Management 4.0, 1996, in its virtual scheduling form): an item
holds the theoretical arrival time `tat` of the next start. A start takes the slot `tat - (burst - 1) * interval`, or
now if that is past, and moves `tat` one interval on. A job whose slot lies ahead waits in its queue until then, hidden
by one change of visibility, and no attempt is charged.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from offload.core.errors import DefinitionError
from offload.core.jobs.record import DAY_MS, first_attributes, first_history, record_ttl
from offload.core.jobs.state import State
from offload.core.writes import Test, Write

if TYPE_CHECKING:
    from collections.abc import Mapping

    from offload.core.messages.delivery import Delivery
    from offload.core.records import JobRecord, RateRecord

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LIFE_MS = DAY_MS * 400
_UNCHANGED = ("state", "updated_at", "lease")


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A global limit over all workers of a task, such as `RateLimit("10/m")`.

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


def take_free_slot(task: str, limit: RateLimit, now: int) -> Write[RateRecord]:
    """Reserve the slot that begins now; refused when earlier reservations reach into the future."""
    return Write(
        f"rate#{task}",
        when=((Test("id", "absent"),), (Test("tat", "<=", now),)),
        set={"tat": now + _interval_ms(limit), "ttl": (now + _LIFE_MS) // 1000},
    )


def take_next_slot(task: str, limit: RateLimit) -> Write[RateRecord]:
    """Reserve the slot after those that are taken; refused when there is no item to add to."""
    return Write(f"rate#{task}", when=((Test("tat", "present"),),), add={"tat": _interval_ms(limit)})


def slot_taken(record: RateRecord, limit: RateLimit) -> int:
    """Return the slot, in epoch milliseconds, that `take_next_slot` has reserved."""
    return int(record["tat"]) - limit.burst * _interval_ms(limit)


def note_slot(delivery: Delivery, record: JobRecord | None, slot: int, now: int) -> Write[JobRecord]:
    """Note a job's reserved slot in its record, so that it does not reserve another when it comes back.

    Refused when the record has changed since it was read as `record`.
    """
    read: Mapping[str, object] = record or {}
    same = [Test(name, "=", read[name]) for name in _UNCHANGED if name in read] if record else [Test("id", "absent")]
    return Write(
        delivery.job_id,
        when=(tuple(same),),
        set={"start_slot_at": slot, "updated_at": now, "ttl": record_ttl(max(now, slot))},
        default={
            "state": State.PENDING.value,
            "attempt": 0,
            **first_attributes(delivery),
            **first_history(delivery),
        },
    )


def _interval_ms(limit: RateLimit) -> int:
    return max(1, round(limit.interval() * 1000))
