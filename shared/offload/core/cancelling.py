"""Cancelling: what a request to cancel means for a record."""

from __future__ import annotations

from offload.core.jobs import DAY_MS, RECORD_LIFE_DAYS, Item, State, transition
from offload.core.producing import MOST_DELAY
from offload.core.writes import Test, Write

_WAITING = (State.PENDING, State.SCHEDULED, State.BLOCKED, State.RETRYING)


def cancel(job_id: str, now: int) -> Write:
    """End a job that waits. Its message stays; the worker that receives it drops it.

    The record keeps the deletion time it has, which outlives that message however distant its start.
    """
    return Write(
        job_id,
        when=tuple((Test("state", "=", state.value),) for state in _WAITING),
        set={"state": State.CANCELLED.value, "finished_at": now, "updated_at": now},
        append={"history": [transition(State.CANCELLED, now, 0)]},
        remove=("next_at", "parked", "idx", "idx_at"),
    )


def cancel_unrecorded(task: str, job_id: str, now: int) -> Write:
    """End an accepted job that has no record (yet): its worker meets this one and drops the message.

    How long the message is delayed is not known here, so the record outlives the longest delay.
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
            "ttl": (now + RECORD_LIFE_DAYS * DAY_MS) // 1000 + MOST_DELAY,
            "history": [transition(State.CANCELLED, now, 0)],
        },
    )


def request_cancel(item: Item, now: int) -> Write | None:
    """Ask a running job to stop; None when it has ended and there is nothing to ask."""
    if item["state"] != State.RUNNING.value:
        return None
    return Write(
        item["id"],
        when=((Test("state", "=", State.RUNNING.value), Test("lease", "=", item.get("lease", ""))),),
        set={"cancel_requested_at": item.get("cancel_requested_at", now), "updated_at": now},
    )
