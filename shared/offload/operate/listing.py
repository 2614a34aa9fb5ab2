"""Jobs by task and state."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from offload.core.errors import DefinitionError
from offload.core.jobs.job import Job
from offload.core.jobs.record import INDEXED, index_keys

if TYPE_CHECKING:
    from offload.client import Client
    from offload.core.jobs.state import State


def list_jobs(client: Client, *, task: str | None = None, state: State | None = None, limit: int = 50) -> list[Job]:
    """Return the jobs that need attention, newest first.

    These are the jobs in the states FAILED, RETRYING and SCHEDULED. A job that starts at once and succeeds is never in
    the index, so that it costs no more than three write units. Read such a job by its id.

    Args:
        client: The stack.
        task: Name of a task, for its jobs alone; None for the jobs of all tasks.
        state: A state, for the jobs in this state alone; None for all indexed states.
        limit: The largest number of jobs to return. It takes four requests for each task and state, however many jobs
            there are.

    Raises:
        UnknownTask: The task is not deployed.
        DefinitionError: The state is not indexed.
    """
    if state is not None and state not in INDEXED:
        indexed = ", ".join(INDEXED)
        raise DefinitionError(
            f"state={state.value}: only {indexed} are indexed, so that a job that succeeds costs no index write. "
            "Use `offload jobs show ID` for one job and `offload queues list` for how many wait and run"
        )
    if task is not None:
        client.manifest.lanes(task)  # raises `UnknownTask`
    tasks = [task] if task is not None else sorted(client.manifest.tasks)
    states = [state] if state is not None else list(INDEXED)
    records = (
        record
        for name in tasks
        for indexed_state in states
        for partition in index_keys(name, indexed_state)
        for record in client.store.find(partition, limit=limit)
    )
    # Sorted by the last change, because `idx_at` of a scheduled job is its start time, which lies in the future.
    newest = heapq.nlargest(limit, records, key=lambda record: int(record.get("updated_at", 0)))
    return [Job.read(record) for record in newest]
