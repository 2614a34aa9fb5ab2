"""Retrying by hand: what it means for a record.

| state                           | then                                                                         |
|---------------------------------|------------------------------------------------------------------------------|
| FAILED                          | its dead letter is sent again; the record is PENDING, with all attempts anew |
| RETRYING                        | due at once, and its parked message is made visible                          |
| every other                     | refused, with what to do instead                                             |

A job that was brought back is PENDING before its message is received, so that whoever waits for it does not take the
old failure for the new end. The message goes first here too: the claim of a worker that is faster means the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from offload.core import ending
from offload.core.clock import iso
from offload.core.delivery import life
from offload.core.errors import WrongState
from offload.core.jobs import Item, State, transition
from offload.core.writes import Test, Write

if TYPE_CHECKING:
    from offload.core.jobs import Job

_INSTEAD = {
    State.PENDING: "it has not started yet and will, so there is nothing to retry",
    State.SCHEDULED: "it starts by itself{due}; to run it earlier, cancel it and enqueue it without the delay",
    State.BLOCKED: "it waits for other jobs",
    State.RUNNING: "an attempt is under way; wait for its end, or cancel it",
    State.SUCCEEDED: "it is done; to run it again, enqueue it anew",
    State.CANCELLED: "its message is gone; enqueue it anew",
    State.EXPIRED: "its message is gone; enqueue it anew",
}


def check(job: Job) -> None:
    """Refuse a job that neither failed nor waits for its next attempt.

    Raises:
        WrongState: Says what to do instead.
    """
    if job.state in _INSTEAD:
        due = f" at {iso(job.next_at)}" if job.next_at is not None else ""
        raise WrongState(f"job {job.id} is {job.state}: {_INSTEAD[job.state].format(due=due)}")


def brought_back(item: Item, now: int) -> Write:
    """Record that a failed job's message was sent again; refused when its worker was faster."""
    redrives = item.get("redrives")
    return Write(
        item["id"],
        when=(
            (
                Test("state", "=", State.FAILED.value),
                Test("finished_at", "=", item.get("finished_at", 0)),
                # Failures can share a millisecond; a run in between cannot have left this number as it was.
                Test("redrives", "absent") if redrives is None else Test("redrives", "=", redrives),
            ),
        ),
        set={
            "state": State.PENDING.value,
            "attempt": 0,
            "updated_at": now,
            "ttl": life(now),
            "history": ending.history(item, transition(State.PENDING, now, 0, "retried by hand")),
        },
        add={"redrives": 1},
        remove=("finished_at", "reason", "cancel_requested_at", "follow_up", "idx", "idx_at"),
    )


def at_once(item: Item, now: int) -> Write:
    """Make a job that waits for its next attempt due; refused when it is not the wait that was looked at."""
    parked = item.get("parked")
    same = Test("parked", "absent") if parked is None else Test("parked", "=", parked)
    return Write(
        item["id"],
        when=((Test("state", "=", State.RETRYING.value), same),),
        set={"next_at": now, "updated_at": now},
    )
