"""The states of a job, and which may follow which."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """States of a job."""

    PENDING = "PENDING"
    SCHEDULED = "SCHEDULED"
    RUNNING = "RUNNING"
    RETRYING = "RETRYING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"

    @property
    def ended(self) -> bool:
        """True when a job in this state has ended."""
        return self in ENDED


ENDED = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED, State.EXPIRED})

TRANSITIONS: dict[State | None, dict[State, str]] = {
    None: {
        State.PENDING: "enqueued",
        State.SCHEDULED: "enqueued with a delay",
        State.RUNNING: "claimed before its producer wrote the record",
        State.FAILED: "its message can never run",
        State.CANCELLED: "cancelled before its record was written",
        State.EXPIRED: "received after `expires`",
    },
    State.PENDING: {
        State.RUNNING: "claimed by a worker",
        State.FAILED: "its message can never run",
        State.CANCELLED: "cancelled",
        State.EXPIRED: "received after `expires`",
    },
    State.SCHEDULED: {
        State.RUNNING: "claimed by a worker",
        State.FAILED: "its message can never run",
        State.CANCELLED: "cancelled",
        State.EXPIRED: "received after `expires`",
    },
    State.RUNNING: {
        State.RUNNING: "its worker died, or its claim was released, and another worker claims it",
        State.SUCCEEDED: "the run returned",
        State.RETRYING: "the run failed, and attempts are left",
        State.FAILED: "the run failed for good, its worker died on the last attempt, or its payload does not fit",
        State.CANCELLED: "it was asked to stop",
        State.EXPIRED: "received after `expires`, and its only claim was released",
    },
    State.RETRYING: {
        State.RUNNING: "its time has come",
        State.FAILED: "its payload does not fit the task any more",
        State.CANCELLED: "cancelled",
    },
    State.FAILED: {
        State.PENDING: "retried by hand",
        State.RUNNING: "its message was redriven",
        State.FAILED: "redriven, and its message can still never run",
    },
    State.SUCCEEDED: {},
    State.CANCELLED: {},
    State.EXPIRED: {},
}
"""Every change of state and what causes it, by the state before; None stands for no record.

The simulator holds each write to this table, and the diagram in `docs/architecture.md` is drawn from it.
"""
