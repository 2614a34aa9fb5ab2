"""Jobs by task and state."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from offload.core.errors import DefinitionError
from offload.core.jobs import INDEXED, Job, State, index_keys

if TYPE_CHECKING:
    from offload.client import Client


def list_jobs(client: Client, *, task: str | None = None, state: State | None = None, limit: int = 50) -> list[Job]:
    """Return the jobs that need attention, newest first.

    Jobs are listed in the states FAILED, RETRYING and SCHEDULED. A job that simply succeeds is in no index, which is
    what keeps it at three write units; look it up by its id.

    Args:
        client: The stack.
        task: Only this task's.
        state: Only this state's.
        limit: Most jobs returned. The requests are four per task and state, whatever the number of jobs.

    Raises:
        UnknownTask: Not deployed.
        DefinitionError: The state is not listed.
    """
    if state is not None and state not in INDEXED:
        listed = ", ".join(INDEXED)
        raise DefinitionError(
            f"state={state.value}: only {listed} are indexed, so that a job that succeeds costs no index write. "
            "Use `offload jobs show ID` for one job and `offload queues list` for how many wait and run"
        )
    if task is not None:
        client.manifest.lanes(task)
    tasks = [task] if task is not None else sorted(client.manifest.tasks)
    states = [state] if state is not None else list(INDEXED)
    found = (
        item
        for name in tasks
        for wanted in states
        for key in index_keys(name, wanted)
        for item in client.store.find(key, limit=limit)
    )
    # By the last change: a scheduled job's place in its own partition is its start, which lies in the future.
    newest = heapq.nlargest(limit, found, key=lambda item: int(item.get("updated_at", 0)))
    return [Job.read(item) for item in newest]
