"""Which record tells of a message: that of the job it names, or one of its own where the job is another task's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from offload.core.ids import id_apart
from offload.core.messages.message import job_id_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from offload.core.messages.message import AnyMessage
    from offload.core.records import JobRecord


def ids_of(message: AnyMessage, task: str) -> tuple[str, str]:
    """Return the ids under which a message in a task's queue can have its record, the likelier one first.

    A message that is for another task, or whose job id belongs to another task, has a record apart from that job's.
    """
    job_id = job_id_for(message)
    apart = id_apart(job_id, task)
    return (job_id, apart) if _task_of(message.body) in (None, task) else (apart, job_id)


def record_of(read: Callable[[str], JobRecord | None], message: AnyMessage, task: str) -> tuple[str, JobRecord | None]:
    """Return the id of a message's record, and the record if there is one; one read, or two.

    Args:
        read: Reads a record.
        message: A message in one of the task's queues.
        task: The task.
    """
    ids = ids_of(message, task)
    for record_id in ids:
        record = read(record_id)
        if record is not None and record.get("task") == task:
            return record_id, record
    return ids[0], None


def _task_of(body: str) -> object:
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return data.get("task") if isinstance(data, dict) else None
