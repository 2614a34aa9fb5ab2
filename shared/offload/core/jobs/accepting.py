"""Accepting: the record of a job that was just enqueued, and whether its id was free."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from offload.core.errors import IdTaken
from offload.core.jobs.record import history_entry, index_key, message_attributes, record_ttl
from offload.core.jobs.state import State
from offload.core.writes import Test, Write

if TYPE_CHECKING:
    from offload.core.messages.message import Message
    from offload.core.records import JobRecord


def accept(
    task: str, job_id: str, message: Message, now: int, *, due: int | None, max_attempts: int | None
) -> Write[JobRecord]:
    """Record a job that was just enqueued; refused when its worker was faster.

    Args:
        task: Task name.
        job_id: Job id.
        message: The message that was sent.
        now: Epoch milliseconds.
        due: When a delayed job starts, epoch milliseconds; None for at once.
        max_attempts: Attempts allowed, where the producer knows.
    """
    state = State.PENDING if due is None else State.SCHEDULED
    record: dict[str, Any] = {
        "task": task,
        "state": state.value,
        "attempt": 0,
        "created_at": message.enqueued_at or now,
        "updated_at": now,
        "ttl": record_ttl(max(now, due or 0)),
        "history": [history_entry(state, now, 0)],
        **message_attributes(message),
    }
    if max_attempts is not None:
        record["max_attempts"] = max_attempts
    if due is not None:
        record |= {"next_at": due, "idx": index_key(task, state, job_id), "idx_at": due}
    return Write(job_id, when=((Test("id", "absent"),),), set=record)


def check_owner(task: str | None, record: JobRecord) -> None:
    """Refuse a job id that belongs to another task; without a task nothing is expected of the record.

    Raises:
        IdTaken: It does; names the id and that task.
    """
    if task is not None and record["task"] != task:
        raise IdTaken(record["id"], record["task"])


def was_accepted_before(message: Message, record: JobRecord) -> bool:
    """Tell whether a record that refuses the one of a message is that of an earlier request with the same id.

    A record that the message's own worker has written says when this message was enqueued. Two requests in one
    millisecond are not told apart.
    """
    return record.get("created_at") != message.enqueued_at
