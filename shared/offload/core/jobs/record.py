"""What every write of a job's record needs: how long the record lives, where it is listed, and its history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from offload.core.jobs.state import State
from offload.core.writes import Condition, Test

if TYPE_CHECKING:
    from collections.abc import Mapping

    from offload.core.messages.delivery import Delivery
    from offload.core.messages.message import Message
    from offload.core.records import ErrorRecord, JobRecord

DAY_MS = 86_400_000
RECORD_LIFE_DAYS = 35
"""How long a record outlives its last change. A message lives at most 14 days in queue and DLQ together (the age on a
standard queue counts from the first enqueue), and a redrive gives it 14 more: a duplicate may still arrive 28 days
after the job ended and must find the record. A week is added for the operator who redrives on the last day."""

LONGEST_DELAY = 365 * 86_400
"""Seconds that a job may be delayed by."""

INDEXED = (State.FAILED, State.RETRYING, State.SCHEDULED)
"""States that can be listed. A job that simply succeeds never enters the index, so it pays for no index write."""

SHARDS = 4
"""Index partitions per task and state: a storm of failures spreads over several, each good for 1,000 writes/s."""

NOT_STARTED: Condition = (
    (Test("id", "absent"),),
    (Test("state", "=", State.PENDING.value),),
    (Test("state", "=", State.SCHEDULED.value),),
)
"""No run has begun: there is no record yet, or the record waits for the first run."""

_KEEP_FIRST, _KEEP_LAST = 4, 20
"""History entries that are kept. Those between are dropped, so that a record stays small however long its story."""

_LONGEST_NOTE, _LONGEST_REASON = 120, 200


def record_ttl(last_change: int) -> int:
    """Return when a record may be deleted (epoch seconds) whose last change is at epoch milliseconds `last_change`."""
    return (last_change + RECORD_LIFE_DAYS * DAY_MS) // 1000


def index_key(task: str, state: State, job_id: str) -> str:
    """Return the index partition of a job in a listed state."""
    return f"{task}#{state}#{sum(job_id.encode()) % SHARDS}"


def index_keys(task: str, state: State) -> list[str]:
    """Return every index partition of a task's jobs in a listed state."""
    return [f"{task}#{state}#{shard}" for shard in range(SHARDS)]


def reason(error: ErrorRecord) -> str:
    """Return an error in one short line, for lists."""
    return f"{error['type']}: {error['message']}".replace("\n", " ")[:_LONGEST_REASON]


def message_attributes(message: Message) -> dict[str, Any]:
    """Return the attributes that a record takes over from its message; what the message does not set is left out."""
    attributes = {
        "tenant": message.tenant,
        "key": message.key,
        "expires_at": message.expires_at,
        "lane": message.lane,
        "parent": message.parent,
        "workflow": message.workflow,
    }
    return {name: value for name, value in attributes.items() if value is not None}


def first_attributes(delivery: Delivery) -> dict[str, Any]:
    """Return what a worker writes into a record that the producer has not written."""
    return {"task": delivery.task, "created_at": delivery.enqueued_at, **message_attributes(delivery.message)}


def first_history(delivery: Delivery) -> dict[str, list[Any]]:
    """Return the PENDING entry that the producer would have written, for a record that the worker writes first."""
    return {"history": [history_entry(State.PENDING, delivery.enqueued_at, 0)]}


def history_entry(state: State, at: int, attempt: int, note: str | None = None) -> list[Any]:
    """Return a history entry in its stored, compact form: state, epoch milliseconds, attempt and perhaps a note."""
    return [state.value, at, attempt] if note is None else [state.value, at, attempt, note[:_LONGEST_NOTE]]


def history_with_attempts(record: JobRecord | Mapping[str, Any]) -> list[list[Any]]:
    """Return a record's history, as stored, with the number of the attempt in every run.

    A claim adds one to `attempt` without reading it, so its own entry cannot name the number and says 0. For the last
    claim the number is the record's. An earlier claim still says 0 only where its worker died, and its number is one
    more than that of the entry before it.
    """
    history: list[list[Any]] = list(record.get("history", []))
    claims = [index for index, entry in enumerate(history) if entry[0] == State.RUNNING.value]
    for index in claims:
        if history[index][2] == 0:
            before = history[index - 1][2] if index else 0
            number = record.get("attempt", 0) if index == claims[-1] else before + 1
            history[index] = [*history[index][:2], number, *history[index][3:]]
    return history


def history_and(record: JobRecord, entry: list[Any]) -> list[list[Any]]:
    """Return a record's history with one more entry; a long history keeps its first and its last entries."""
    history = [*history_with_attempts(record), entry]
    if len(history) <= _KEEP_FIRST + _KEEP_LAST:
        return history
    return [*history[:_KEEP_FIRST], *history[-_KEEP_LAST:]]
