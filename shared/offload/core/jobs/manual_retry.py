"""Retrying a job by hand: what it means for the record.

| state       | what happens                                                                      |
|-------------|-----------------------------------------------------------------------------------|
| FAILED      | its dead letter is sent again; the record is PENDING again, with all attempts new |
| RETRYING    | it is due at once, and a message that waits for its timer is sent at once         |
| every other | refused, with what to do instead                                                  |

A FAILED job becomes PENDING before its message is received. Otherwise whoever waits for the job would take the old
failure for the new end. The message goes first here too: a worker that claims it before the record is PENDING does the
same to the record.

Nobody can wake a message that its queue delays, or that is hidden without its receipt handle. Such a wait lasts 15
minutes at most, and the attempt starts at its end. A message whose timer was refused waits like that too, in several
copies; the first that comes back starts the attempt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from offload.core.clock import iso
from offload.core.errors import WrongState
from offload.core.jobs.record import history_and, history_entry, record_ttl
from offload.core.jobs.state import State
from offload.core.writes import Test, Write

if TYPE_CHECKING:
    from offload.core.jobs.job import Job
    from offload.core.records import JobRecord

LOOK_FOR_SECONDS = 30.0
"""How long a failed job's message is looked for; its way to the dead-letter queue takes a few seconds."""

_INSTEAD = {
    State.PENDING: "it has not started yet and will, so there is nothing to retry",
    State.SCHEDULED: "it starts by itself{due}; to run it earlier, cancel it and enqueue it without the delay",
    State.RUNNING: "an attempt is under way; wait for its end, or cancel it",
    State.SUCCEEDED: "it is done; to run it again, enqueue it anew",
    State.CANCELLED: "its message is gone; enqueue it anew",
    State.EXPIRED: "its message is gone; enqueue it anew",
}


def check_retryable(job: Job) -> None:
    """Refuse a job that neither failed nor waits for its next attempt.

    Raises:
        WrongState: Says what to do instead.
    """
    if job.state in _INSTEAD:
        due = f" at {iso(job.next_at)}" if job.next_at is not None else ""
        raise WrongState(f"job {job.id} is {job.state}: {_INSTEAD[job.state].format(due=due)}")


def restart_failed(record: JobRecord, now: int) -> Write[JobRecord]:
    """Record that a failed job's message was sent again; refused when its worker was faster."""
    redrives = record.get("redrives")
    return Write(
        record["id"],
        when=(
            (
                Test("state", "=", State.FAILED.value),
                Test("finished_at", "=", record.get("finished_at", 0)),
                # Two failures can share a millisecond, but a run between them has raised this number.
                Test("redrives", "absent") if redrives is None else Test("redrives", "=", redrives),
            ),
        ),
        set={
            "state": State.PENDING.value,
            "attempt": 0,
            "updated_at": now,
            "ttl": record_ttl(now),
            "history": history_and(record, history_entry(State.PENDING, now, 0, "retried by hand")),
        },
        add={"redrives": 1},
        remove=("finished_at", "reason", "cancel_requested_at", "follow_up", "idx", "idx_at"),
    )


def make_due(record: JobRecord, now: int) -> Write[JobRecord]:
    """Make a job due that waits for its next attempt; refused when it waits for another one by now."""
    return Write(
        record["id"],
        # An attempt in between has raised the attempt; a redrive has set it back, and raised its own number.
        when=(
            (
                Test("state", "=", State.RETRYING.value),
                *(Test(name, "=", record[name]) for name in ("attempt", "redrives") if name in record),
            ),
        ),
        set={"next_at": now, "updated_at": now},
    )
