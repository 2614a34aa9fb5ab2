"""The job that runs: what `current_job()` gives a task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from offload.core.errors import LeaseLost, Unavailable
from offload.core.writes import Conflict, Test, Write

if TYPE_CHECKING:
    from offload.core.clock import Clock
    from offload.core.messages.delivery import Delivery
    from offload.core.ports import JobStore
    from offload.core.records import JobRecord

_LEAST_INTERVAL_MS = 1_000
"""Least time between two progress writes, and between two looks at whether a cancel was asked for."""


_LONGEST_STAGE = 200
_LARGEST = 1e15


def _number(value: float) -> float:
    """Return a number the record can hold: a wrong one must fail here, not the write that ends the run."""
    number = value if type(value) is int else float(value)
    if not abs(number) <= _LARGEST:
        raise ValueError(f"progress takes finite numbers, not {value!r}")
    return number


class RunningJob:
    """One run of a job; implements `CurrentJob`."""

    def __init__(self, delivery: Delivery, record: JobRecord, *, store: JobStore, clock: Clock, until: int) -> None:
        """Keep what the task may ask for; `until` is the soft limit in epoch milliseconds."""
        self.id = delivery.job_id
        self.task = delivery.task
        self.attempt = int(record["attempt"])
        self.tenant = delivery.message.tenant
        self.hops = delivery.message.hops
        self._delivery, self._store, self._clock, self._until = delivery, store, clock, until
        self._progress: dict[str, Any] | None = None
        self._written_at = 0
        self._read_at = clock.now()
        self._cancelled = "cancel_requested_at" in record

    def progress(self, current: float, total: float | None = None, *, stage: str | None = None) -> None:
        """Say how far the job is; see `CurrentJob.progress`."""
        now = self._clock.now()
        progress = {
            "current": _number(current),
            "total": None if total is None else _number(total),
            "stage": None if stage is None else str(stage)[:_LONGEST_STAGE],
            "at": now,
        }
        self._progress = {name: value for name, value in progress.items() if value is not None}
        if now - self._written_at < _LEAST_INTERVAL_MS:
            return  # the write that ends the run carries what was said last
        self._written_at = now
        held = (Test("state", "=", "RUNNING"), Test("lease", "=", self._delivery.lease))
        try:
            write: Write[JobRecord] = Write(self.id, when=(held,), set={"progress": self._progress, "updated_at": now})
            record = self._store.apply(write)
        except Conflict as conflict:
            raise LeaseLost(f"job {self.id}: another worker holds it now; this run records nothing more") from conflict
        except Unavailable:
            return  # progress is for onlookers: not a reason to fail the job
        self._read_cancel(record, now)

    def _read_cancel(self, record: JobRecord | None, now: int) -> None:
        self._read_at = now
        self._cancelled = record is not None and "cancel_requested_at" in record

    @property
    def cancelled(self) -> bool:
        """True once a cancel was asked for."""
        now = self._clock.now()
        if not self._cancelled and now - self._read_at >= _LEAST_INTERVAL_MS:
            try:
                self._read_cancel(self._store.get(self.id), now)
            except Unavailable:
                self._read_at = now
        return self._cancelled

    @property
    def remaining(self) -> float:
        """Seconds until the soft limit."""
        return max(0.0, (self._until - self._clock.now()) / 1000)

    def last_progress(self) -> dict[str, Any]:
        """Return the progress for the write that ends the run."""
        return {} if self._progress is None else {"progress": self._progress}
