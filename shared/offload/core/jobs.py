"""The job record: what is known of a job, and the names of its states."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from offload.core.clock import iso
from offload.core.errors import JobCancelled, JobExpired, JobFailed, OffloadError, ResultExpired

Item = dict[str, Any]
"""A stored record: attribute names to JSON values (texts, numbers, booleans, lists, maps)."""

DAY_MS = 86_400_000
RECORD_LIFE_DAYS = 35
"""How long a record outlives its last change. A message lives at most 14 days in queue and DLQ together (the age on a
standard queue counts from the first enqueue), and a redrive gives it 14 more: a duplicate may still arrive 28 days
after the job ended and must find the record. A week is added for the operator who redrives on the last day."""


class State(StrEnum):
    """States of a job."""

    PENDING = "PENDING"
    SCHEDULED = "SCHEDULED"
    BLOCKED = "BLOCKED"
    RUNNING = "RUNNING"
    RETRYING = "RETRYING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"

    @property
    def terminal(self) -> bool:
        """True when a job in this state has ended."""
        return self in _TERMINAL


_TERMINAL = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED, State.EXPIRED})
INDEXED = (State.FAILED, State.RETRYING, State.SCHEDULED)
"""States that can be listed. A job that simply succeeds never enters the index, so it pays for no index write."""

SHARDS = 4
"""Index partitions per task and state: a storm of failures spreads over several, each good for 1,000 writes/s."""


def index_key(task: str, state: State, job_id: str) -> str:
    """Return the index partition of a job in a listed state."""
    return f"{task}#{state}#{sum(job_id.encode()) % SHARDS}"


def index_keys(task: str, state: State) -> list[str]:
    """Return every index partition of a task's jobs in a listed state."""
    return [f"{task}#{state}#{shard}" for shard in range(SHARDS)]


@dataclass(frozen=True)
class Job:
    """A job's record. Times are epoch milliseconds.

    Attributes:
        id: Job id.
        task: Task name.
        state: Where it stands.
        attempt: The attempt that runs or ran last; 0 before the first.
        max_attempts: Attempts allowed.
        created_at: When it was enqueued.
        started_at: Start of the last attempt.
        finished_at: When it ended.
        updated_at: Last change.
        next_at: Earliest time of the next attempt, or of the first one of a delayed job.
        result: The result's JSON text when it is kept inline.
        result_ref: `bucket` and `key` of a result kept in S3.
        result_until: When the result expires.
        error: `type`, `message`, `traceback` and `attempt` of the last error.
        reason: The last error in one line.
        progress: `current`, `total`, `stage` and `at` as the task last said.
        history: Transitions, oldest first: `state`, `at`, `attempt`, perhaps `note`.
        usage: Resource use of the last attempt: `duration_ms`, `cpu_ms`, `memory_mb`.
        lane: Priority lane.
        tenant: Fairness group.
        key: Idempotency key.
        expires_at: When it expires if it has not started.
        cancel_requested_at: When a cancel was asked for.
        workflow: Workflow it belongs to.
        parent: Job that enqueued it.
        redrives: Times it was brought back from the DLQ.
    """

    id: str
    task: str
    state: State
    attempt: int = 0
    max_attempts: int = 0
    created_at: int | None = None
    started_at: int | None = None
    finished_at: int | None = None
    updated_at: int | None = None
    next_at: int | None = None
    result: str | None = None
    result_ref: dict[str, str] | None = None
    result_until: int | None = None
    error: dict[str, Any] | None = None
    reason: str | None = None
    progress: dict[str, Any] | None = None
    history: list[dict[str, Any]] = field(default_factory=list)
    usage: dict[str, Any] | None = None
    lane: str | None = None
    tenant: str | None = None
    key: str | None = None
    expires_at: int | None = None
    cancel_requested_at: int | None = None
    workflow: str | None = None
    parent: str | None = None
    redrives: int = 0

    @classmethod
    def read(cls, item: Item) -> Job:
        """Read a stored record; attributes that are not the record's own business are left out."""
        known = {name: item[name] for name in cls.__dataclass_fields__ if name in item and name not in _SHAPED}
        history = [_transition(entry) for entry in numbered(item)]
        return cls(**known, state=State(item["state"]), history=history)

    def raise_unless_succeeded(self) -> None:
        """Raise the error that says how an ended job ended, if not well."""
        if self.state is State.FAILED:
            raise JobFailed(self.id, self.error or {})
        if self.state is State.CANCELLED:
            raise JobCancelled(f"job {self.id} was cancelled")
        if self.state is State.EXPIRED:
            raise JobExpired(f"job {self.id} expired before it could start")
        if self.state is not State.SUCCEEDED:
            raise OffloadError(f"job {self.id} has not ended: {self.state}")

    def check_result_life(self, now: int) -> None:
        """Refuse a result that is past its life, although the store may not have deleted it yet."""
        if self.result_until is not None and now >= self.result_until:
            raise ResultExpired(f"the result of job {self.id} expired at {iso(self.result_until)}")

    def describe(self) -> dict[str, Any]:
        """Return the record as JSON values for people and scripts: ISO times, unset fields left out."""
        described: dict[str, Any] = {}
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if value in (None, 0, [], {}) and name != "attempt":
                continue
            if name.endswith(("_at", "_until")):
                value = iso(value)
            elif name == "history":
                value = [{**entry, "at": iso(entry["at"])} for entry in value]
            elif name == "progress" and "at" in value:
                value = {**value, "at": iso(value["at"])}
            described[name] = value
        return described


_SHAPED = ("state", "history")


def transition(state: State, at: int, attempt: int, note: str | None = None) -> list[Any]:
    """Return a history entry in its stored, compact form."""
    return [state.value, at, attempt] if note is None else [state.value, at, attempt, note[:120]]


def numbered(item: Item) -> list[list[Any]]:
    """Return a record's history, as stored, with its attempt's number in every run.

    A claim is one blind write that cannot know the number it adds one to, so it leaves 0. The last claim's number is
    the record's; an earlier one is still blind only if its worker died, and follows the entry before it.
    """
    history: list[list[Any]] = list(item.get("history", []))
    claims = [index for index, entry in enumerate(history) if entry[0] == State.RUNNING.value]
    for index in claims:
        if history[index][2] == 0:
            before = history[index - 1][2] if index else 0
            number = item.get("attempt", 0) if index == claims[-1] else before + 1
            history[index] = [*history[index][:2], number, *history[index][3:]]
    return history


def _transition(entry: list[Any]) -> dict[str, Any]:
    shown = {"state": entry[0], "at": entry[1], "attempt": entry[2]}
    return shown if len(entry) == 3 else {**shown, "note": entry[3]}  # noqa: PLR2004 - the note is the fourth
