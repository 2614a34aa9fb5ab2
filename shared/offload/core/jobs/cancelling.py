"""Cancelling: what a request to cancel means for a record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from offload.core.jobs.record import history_entry, of_task, record_ttl
from offload.core.jobs.state import State
from offload.core.retention import LONGEST_DELAY
from offload.core.writes import Condition, Test, Write

if TYPE_CHECKING:
    from offload.core.records import JobRecord

_WAITING = (State.PENDING, State.SCHEDULED, State.RETRYING)


def cancel_waiting(job_id: str, now: int, task: str | None = None) -> Write[JobRecord]:
    """End a job that waits, one of a task if that is given.

    Its message stays in its queue, and the worker that receives it drops it.

    The record keeps the deletion time it has, which lies after the message's own end however late the job was to start.
    The write does not read the attempt, so the entry of the history says 0; `history_with_attempts` fills it in.
    """
    waiting: Condition = tuple((Test("state", "=", state.value),) for state in _WAITING)
    return Write(
        job_id,
        when=waiting if task is None else of_task(task, waiting),
        set={"state": State.CANCELLED.value, "finished_at": now, "updated_at": now},
        append={"history": [history_entry(State.CANCELLED, now, 0)]},
        remove=("next_at", "timer_until", "idx", "idx_at"),
    )


def cancel_unrecorded(task: str, job_id: str, now: int) -> Write[JobRecord]:
    """End an accepted job that has no record (yet): its worker finds this one and drops the message.

    How long the message is delayed is not known here, so the record lives longer than the longest delay.
    """
    return Write(
        job_id,
        when=((Test("id", "absent"),),),
        set={
            "task": task,
            "state": State.CANCELLED.value,
            "attempt": 0,
            "finished_at": now,
            "updated_at": now,
            "ttl": record_ttl(now) + LONGEST_DELAY,
            "history": [history_entry(State.CANCELLED, now, 0)],
        },
    )


def request_cancel(record: JobRecord, now: int) -> Write[JobRecord] | None:
    """Ask a running job to stop; None when it has ended and there is nothing to ask."""
    if record["state"] != State.RUNNING.value:
        return None
    return Write(
        record["id"],
        when=of_task(
            record["task"], ((Test("state", "=", State.RUNNING.value), Test("lease", "=", record.get("lease", ""))),)
        ),
        set={"cancel_requested_at": record.get("cancel_requested_at", now), "updated_at": now},
    )
