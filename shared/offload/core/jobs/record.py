"""What every write of a job's record needs: how long the record lives, where it is listed, and its history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from offload.core.jobs.state import State
from offload.core.retention import DAY, RECORD_DAYS
from offload.core.writes import Condition, Test

if TYPE_CHECKING:
    from collections.abc import Mapping

    from offload.core.messages.delivery import Delivery
    from offload.core.messages.message import Message
    from offload.core.records import ErrorRecord, JobRecord

DAY_MS = DAY * 1000

INDEXED = (State.FAILED, State.RETRYING, State.SCHEDULED)
"""States that can be listed. A job that simply succeeds never enters the index, so it pays for no index write."""

SHARDS = 4
"""Index partitions per task and state: a storm of failures spreads over several, each good for 1,000 writes/s."""

_NO_RECORD = (Test("id", "absent"),)

NOT_STARTED: Condition = (
    _NO_RECORD,
    (Test("state", "=", State.PENDING.value),),
    (Test("state", "=", State.SCHEDULED.value),),
)
"""No run has begun: there is no record yet, or the record waits for the first run."""


def of_task(task: str, cases: Condition) -> Condition:
    """Return the cases of a condition, each for a record of this task alone.

    A message may name any job id, also one that belongs to another task. Every write that a message causes has its
    condition from here, so that no message changes another task's job.
    """
    return with_tests(cases, Test("task", "=", task))


def with_tests(cases: Condition, *tests: Test) -> Condition:
    """Return the cases of a condition, each with further tests of the record; the case of no record stays as it is."""
    return tuple(case if case == _NO_RECORD else (*case, *tests) for case in cases)


_KEEP_FIRST, _KEEP_LAST = 4, 20
"""History entries that are kept. Those between are dropped, so that a record stays small however long its story."""

_LONGEST_NOTE, _LONGEST_REASON = 120, 200

BRIEF = 800
"""Bytes of the traceback that a job keeps which waits for its next attempt. The end of each attempt, the next claim and
the job's end are billed by the kilobyte; with so much the record of an ordinary job stays below two."""

_FRAME = '  File "'


def record_ttl(last_change: int) -> int:
    """Return when a record may be deleted (epoch seconds) whose last change is at epoch milliseconds `last_change`."""
    return (last_change + RECORD_DAYS * DAY_MS) // 1000


def index_key(task: str, state: State, job_id: str) -> str:
    """Return the index partition of a job in a listed state."""
    return f"{task}#{state}#{sum(job_id.encode()) % SHARDS}"


def index_keys(task: str, state: State) -> list[str]:
    """Return every index partition of a task's jobs in a listed state."""
    return [f"{task}#{state}#{shard}" for shard in range(SHARDS)]


def reason(error: ErrorRecord) -> str:
    """Return an error in one short line, for lists."""
    return f"{error['type']}: {error['message']}".replace("\n", " ")[:_LONGEST_REASON]


def in_brief(error: ErrorRecord) -> ErrorRecord:
    """Return an error with the end of its traceback alone: the innermost frames and the exception's text."""
    shown = error["traceback"]
    if len(shown.encode()) <= BRIEF:
        return error
    frames = shown.encode()[-BRIEF:].decode(errors="ignore")
    start = frames.find(_FRAME)
    if start < 0:  # the text alone is longer: the innermost frame, and where the text begins
        frames, start = shown[max(0, shown.rfind(_FRAME)) :].encode()[:BRIEF].decode(errors="ignore"), 0
    return {**error, "traceback": f"...\n{frames[start:]}"}


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


def last_message(delivery: Delivery) -> dict[str, Any]:
    """Return what a record keeps of the message that its job is claimed or failed by."""
    copied_at = delivery.message.copied_at
    return {"message_id": delivery.message_id, "message_copied_at": copied_at[-1] if copied_at else 0}


def history_entry(state: State, at: int, attempt: int, note: str | None = None) -> list[Any]:
    """Return a history entry in its stored, compact form: state, epoch milliseconds, attempt and perhaps a note."""
    return [state.value, at, attempt] if note is None else [state.value, at, attempt, note[:_LONGEST_NOTE]]


def history_with_attempts(record: JobRecord | Mapping[str, Any]) -> list[list[Any]]:
    """Return a record's history, as stored, with the number of the attempt in every run.

    A claim adds one to `attempt` without reading it, so its own entry cannot name the number and says 0. For the last
    claim the number is the record's. An earlier claim still says 0 only where its worker died, and its number is one
    more than that of the entry before it.

    The cancel of a job that waits does not read the number either. A cancel ends the job, so the number of its entry is
    the record's.
    """
    history: list[list[Any]] = list(record.get("history", []))
    claims = [index for index, entry in enumerate(history) if entry[0] == State.RUNNING.value]
    for index in claims:
        if history[index][2] == 0:
            before = history[index - 1][2] if index else 0
            number = record.get("attempt", 0) if index == claims[-1] else before + 1
            history[index] = _numbered(history[index], number)
    if history and history[-1][0] == State.CANCELLED.value:
        history[-1] = _numbered(history[-1], record.get("attempt", 0))
    return history


def _numbered(entry: list[Any], attempt: int) -> list[Any]:
    return [*entry[:2], attempt, *entry[3:]]


def history_and(record: JobRecord, entry: list[Any]) -> list[list[Any]]:
    """Return a record's history with one more entry; a long history keeps its first and its last entries."""
    history = [*history_with_attempts(record), entry]
    if len(history) <= _KEEP_FIRST + _KEEP_LAST:
        return history
    return [*history[:_KEEP_FIRST], *history[-_KEEP_LAST:]]
