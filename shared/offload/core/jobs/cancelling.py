"""Cancelling: what a request to cancel means for a record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from offload.core.jobs.record import LONGEST_DELAY, history_entry, record_ttl
from offload.core.jobs.state import State
from offload.core.writes import Test, Write

if TYPE_CHECKING:
    from offload.core.records import JobRecord

_WAITING = (State.PENDING, State.SCHEDULED, State.RETRYING)


def cancel_waiting(job_id: str, now: int) -> Write[JobRecord]:
    """End a job that waits. Its message stays in its queue, and the worker that receives it drops it.

    The record keeps the deletion time it has, which lies after the message's own end however late the job was to start.
    """
    return Write(
        job_id,
        when=tuple((Test("state", "=", state.value),) for state in _WAITING),
        set={"state": State.CANCELLED.value, "finished_at": now, "updated_at": now},
        append={"history": [history_entry(State.CANCELLED, now, 0)]},
        remove=("next_at", "waiting_message", "idx", "idx_at"),
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
        when=((Test("state", "=", State.RUNNING.value), Test("lease", "=", record.get("lease", ""))),),
        set={"cancel_requested_at": record.get("cancel_requested_at", now), "updated_at": now},
    )
