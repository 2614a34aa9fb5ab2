"""The line of a rate limit: in which order jobs without a slot start, and when each of them comes back.

The line has a front and a rear.

**In the front** a job has a place, which is a moment. Places follow each other at the rate, so the jobs come back one
by one, each shortly before its place. The front is short (`FRONT_MS`, `FRONT_JOBS`), because a sleeping job cannot hear
that its place has changed: the place of a job that is cancelled stays empty, and a changed rate moves no place.

**In the rear** a job has a number. The limit's item counts:

| attribute | counts                                                                                    |
|-----------|-------------------------------------------------------------------------------------------|
| `joined`  | the numbers that were given: the last one is about that of the job that joined last       |
| `head`    | the highest number whose job has gone on in its turn; numbers up to it count as gone      |
| `left`    | the jobs that have left the rear: to the front, to a start, cancelled, or expired         |

From these follows how many jobs are ahead of a number. A job of the rear looks again when a part of its wait is over
(`PART`), goes on to the front if that has room, or decides anew. So it hears in time that others have left, or that the
rate has changed. When the front is half empty, whoever looks goes on to the front.

The counts are estimates, and nothing but the order and the moment of a look depends on them. Those who leave without a
word (their message was purged) are counted when `head` passes their number.

So the counts need not be exact. In a long rear only one in `weight` jobs writes when it joins, and counts for as many
(R. Morris, Counting Large Numbers of Events in Small Registers, 1978). A thousand workers that receive a backlog would
otherwise ask for more writes of the one item than DynamoDB takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from offload.core.jobs.record import first_attributes, first_history, record_ttl
from offload.core.jobs.state import State
from offload.core.writes import Test, Write

if TYPE_CHECKING:
    from collections.abc import Mapping

    from offload.core.messages.delivery import Delivery
    from offload.core.records import JobRecord, RateRecord

LEAD_MS = 1_000
"""A job comes back this much before its place: its message takes a while to be received."""

FRONT_MS = 10_000
FRONT_JOBS = 6
"""The length of the front: so many milliseconds, or so many intervals if that is longer. Who looks again must find room
in it before the jobs in it have started."""

PART = 0.6
"""The part of its wait after which a job of the rear looks again. It comes in time although four of ten that were ahead
have left meanwhile."""

EXACT = 200
"""The length of the rear up to which each job that joins is counted. Beyond, the count is right to about a twentieth:
each job of a rear of w jobs adds w / 200 to its variance, and the sum of this has the square root w / 20."""

_SHORTER = 3_600
"""Seconds by which a record may live shorter before it is written again."""

_UNCHANGED = ("task", "state", "updated_at", "lease")


class Standing(NamedTuple):
    """Where a job stands in the line: at most one of the two is set.

    Attributes:
        place: Its place in the front, epoch milliseconds.
        number: Its number in the rear.
    """

    place: int | None = None
    number: int | None = None

    @classmethod
    def read(cls, record: JobRecord | None) -> Standing:
        """Read it from a job's record."""
        known: Mapping[str, Any] = record or {}
        return cls(known.get("place_at"), known.get("line_number"))


class Change(NamedTuple):
    """What a job that goes on changes in the counts of the rear."""

    set: Mapping[str, int]
    add: Mapping[str, int]


def item_id(task: str) -> str:
    """Return the id of the item of a task's rate limit; no job has such an id."""
    return f"rate#{task}"


def waiting(item: RateRecord) -> int:
    """Return how many jobs are in the rear."""
    return max(0, item.get("joined", 0) - max(item.get("left", 0), item.get("head", 0)))


def weight(item: RateRecord) -> int:
    """Return for how many jobs one job counts that is counted when it joins the rear."""
    return max(1, waiting(item) // EXACT)


def ahead(item: RateRecord, number: int | None) -> int:
    """Return how many jobs of the rear are ahead of a number; without a number, of one that joins now."""
    joined, head = item.get("joined", 0), item.get("head", 0)
    if number is None:
        return waiting(item)
    # Nobody counts where in the line those were who have left it. They are taken to have been everywhere alike.
    return max(0, number - 1 - head) * waiting(item) // max(1, joined - head)


def was_passed(item: RateRecord, number: int | None) -> bool:
    """Tell whether later jobs have gone on to the front before the one with this number."""
    return number is not None and number <= item.get("head", 0)


def has_room(length: int, front: int, ahead: int, *, passed: bool) -> bool:
    """Tell whether the front has room for a job: the less, the more jobs are ahead; always for one that was passed.

    Args:
        length: How long the front is now.
        front: How long it should be.
        ahead: How long the jobs take that are ahead of this one in the rear; all three in one unit.
        passed: Whether the job was passed. There are few of those, as only the room for jobs behind lets jobs pass.
    """
    return passed or (length <= front - ahead and ahead <= front // 2)


def begun_anew(item: RateRecord) -> dict[str, int]:
    """Return the counts of a rear in which nobody waits, for the first one to join it."""
    return {} if waiting(item) else {"head": item.get("joined", 0), "left": item.get("joined", 0)}


def taken_from(item: RateRecord, standing: Standing, *, in_order: bool) -> Change:
    """Return what changes in the counts when a job goes on; out of its turn, those ahead of it keep their turn."""
    number = standing.number
    if number is None or number <= item.get("head", 0):
        return Change({}, {})  # it was not in the rear, or was passed, and counts as gone
    return Change({"head": number} if in_order else {}, {"left": 1})


def leave_line(record: JobRecord) -> Write[RateRecord] | None:
    """Return the write that counts an ended job out of the rear; None when it was not there."""
    number = record.get("line_number")
    if number is None:
        return None
    # Numbers up to `head` count as gone.
    behind = ((Test("head", "absent"), Test("joined", ">=", number)), (Test("head", "<=", number - 1),))
    return Write(item_id(record["task"]), when=behind, add={"left": 1})


def next_look(start: int, now: int, front: int) -> int:
    """Return when a job of the rear looks again, epoch milliseconds.

    Args:
        start: When it starts, as far as the item tells.
        now: Epoch milliseconds.
        front: Length of the front in milliseconds. A job that has `front` left until its start goes on to the front.
    """
    return now + max(int((start - front - now) * PART), front // 6)


def before_expiry(back: int, now: int, delivery: Delivery, record: JobRecord | None) -> int:
    """Return when a message comes back whose job waits until `back`, or expires before if it has not started."""
    expires_at = delivery.message.expires_at
    started = record is not None and (record.get("attempt") or record.get("redrives"))
    return back if started or expires_at is None or expires_at <= now else min(back, expires_at)


def is_noted(record: JobRecord | None, standing: Standing, start: int) -> bool:
    """Tell whether a record has where the job stands, and lives long enough for a job that starts at `start`."""
    if record is None or Standing.read(record) != standing:
        return False
    return record.get("ttl", 0) + _SHORTER >= record_ttl(start)


def note_standing(
    delivery: Delivery, record: JobRecord | None, standing: Standing, start: int, now: int
) -> Write[JobRecord]:
    """Note where a job stands in its record, so that it does not join the line again when it comes back.

    Refused when the record has changed since it was read as `record`. The record lives as long as that of a job that is
    delayed until `start`.
    """
    read: Mapping[str, object] = record or {}
    same = [Test(name, "=", read[name]) for name in _UNCHANGED if name in read] if record else [Test("id", "absent")]
    noted = {"place_at": standing.place, "line_number": standing.number}
    return Write(
        delivery.job_id,
        when=(tuple(same),),
        set={
            "updated_at": now,
            "ttl": record_ttl(max(now, start)),
            **{name: value for name, value in noted.items() if value is not None},
        },
        default={
            "state": State.PENDING.value,
            "attempt": 0,
            **first_attributes(delivery),
            **first_history(delivery),
        },
        remove=tuple(name for name, value in noted.items() if value is None),
    )
