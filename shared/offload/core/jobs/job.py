"""`Job`: what a reader is shown of a job's record."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from offload.core.clock import iso
from offload.core.errors import IdTaken, JobCancelled, JobExpired, JobFailed, OffloadError, Refused, ResultExpired
from offload.core.jobs.record import history_with_attempts
from offload.core.jobs.state import State
from offload.core.retention import is_result_of

if TYPE_CHECKING:
    from offload.core.records import BlobReference, ErrorRecord, JobRecord


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
        error: The last error.
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
        redrives: Times it was redriven or retried by hand after a failure.
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
    result_ref: BlobReference | None = None
    result_until: int | None = None
    error: ErrorRecord | None = None
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
    def read(cls, record: JobRecord) -> Job:
        """Read a stored record; attributes that serve the library alone are left out."""
        item: dict[str, Any] = {**record}
        known = {name: item[name] for name in cls.__dataclass_fields__ if name in item and name not in _SHAPED}
        history = [_shown(entry) for entry in history_with_attempts(record)]
        return cls(**known, state=State(record["state"]), history=history)

    def of_task(self, task: str | None) -> Job:
        """Return this job, if it is of a task; without a task, whatever it is of.

        Raises:
            IdTaken: It is another task's, and is none of the caller's business.
        """
        if task is not None and self.task != task:
            raise IdTaken(self.id, self.task)
        return self

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

    def result_place(self, bucket: str) -> BlobReference | None:
        """Return where the result lies in a stack's bucket; None when the record has it.

        Raises:
            Refused: The record names another place. Whoever can write a record must not choose what its readers read.
        """
        ref = self.result_ref
        if ref is not None and not (ref["bucket"] == bucket and is_result_of(ref["key"], self.task, self.id)):
            raise Refused(f"the record of job {self.id} names a result that is not the job's own; it is not read")
        return ref

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


def _shown(entry: list[Any]) -> dict[str, Any]:
    state, at, attempt, *note = entry
    return {"state": state, "at": at, "attempt": attempt, **({"note": note[0]} if note else {})}
