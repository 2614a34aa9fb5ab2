"""Cancelling a job: the write that its state calls for, and its place in a line; see `core/jobs/cancelling.py`."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from offload.core.errors import Refused, Unavailable, unknown_job
from offload.core.flow.line import leave_line
from offload.core.jobs.accepting import check_owner
from offload.core.jobs.cancelling import cancel_unrecorded, cancel_waiting, request_cancel
from offload.core.jobs.job import Job
from offload.core.writes import MOST_CONFLICTS, Conflict

if TYPE_CHECKING:
    from collections.abc import Callable

    from offload.core.clock import Clock
    from offload.core.ports import JobStore
    from offload.core.records import JobRecord


def cancel(store: JobStore, job_id: str, task: str | None, clock: Clock, *, stack: Callable[[], str]) -> Job:
    """Cancel a job; see `Client.cancel`.

    Args:
        store: Job table.
        job_id: The job's id.
        task: Its task, where the caller knows it: a job without a record gets one that says CANCELLED.
        clock: Time.
        stack: Returns the stack's name, for the error of an unknown job.

    Raises:
        UnknownJob: There is no such job.
        Unavailable: The job changes each time before it can be cancelled.
    """
    for _ in range(MOST_CONFLICTS):
        now = clock.now()
        try:
            return Job.read(_count_out(store, store.apply(cancel_waiting(job_id, now, task))))
        except Conflict as conflict:
            record: JobRecord | None = conflict.item
        if record is not None and "state" in record:
            check_owner(task, record)
        if record is None and task is not None:
            write = cancel_unrecorded(task, job_id, now)
        elif record is None or "state" not in record:
            raise unknown_job(job_id, stack())
        elif (request := request_cancel(record, now)) is None:
            return Job.read(record)
        else:
            write = request
        try:
            return Job.read(store.apply(write))
        except Conflict:
            continue  # it changed state meanwhile; look again
    raise Unavailable(f"job {job_id} keeps changing; try again")


def _count_out(store: JobStore, record: JobRecord) -> JobRecord:
    """Count a cancelled job out of the line of its rate limit, so that those behind it move up; returns its record.

    The job is cancelled, so no error is raised here: without the count, the line finds out later.
    """
    left = leave_line(record)
    if left is not None:
        with suppress(Conflict, Unavailable, Refused):
            store.apply(left)
    return record
