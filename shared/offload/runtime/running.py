"""The job that runs: what `current_job()` gives a task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from offload.core.errors import LeaseLost, Unavailable
from offload.core.writes import Conflict, Test, Write

if TYPE_CHECKING:
    from offload.core.clock import Clock
    from offload.core.delivery import Delivery
    from offload.core.jobs import Item
    from offload.core.ports import JobStore

_PACE_MS = 1_000
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

    def __init__(self, delivery: Delivery, item: Item, *, store: JobStore, clock: Clock, until: int) -> None:
        """Keep what the task may ask for; `until` is the soft limit in epoch milliseconds."""
        self.id = delivery.job_id
        self.task = delivery.task
        self.attempt = int(item["attempt"])
        self.tenant = delivery.message.tenant
        self.hops = delivery.message.hops
        self._delivery, self._store, self._clock, self._until = delivery, store, clock, until
        self._said: dict[str, Any] | None = None
        self._written_at = 0
        self._looked_at = clock.now()
        self._cancelled = "cancel_requested_at" in item

    def progress(self, current: float, total: float | None = None, *, stage: str | None = None) -> None:
        """Say how far the job is; see `CurrentJob.progress`."""
        now = self._clock.now()
        said = {
            "current": _number(current),
            "total": None if total is None else _number(total),
            "stage": None if stage is None else str(stage)[:_LONGEST_STAGE],
            "at": now,
        }
        self._said = {name: value for name, value in said.items() if value is not None}
        if now - self._written_at < _PACE_MS:
            return  # the write that ends the run carries what was said last
        self._written_at = now
        held = (Test("state", "=", "RUNNING"), Test("lease", "=", self._delivery.token))
        try:
            item = self._store.apply(Write(self.id, when=(held,), set={"progress": self._said, "updated_at": now}))
        except Conflict as conflict:
            raise LeaseLost(f"job {self.id}: another worker holds it now; this run records nothing more") from conflict
        except Unavailable:
            return  # progress is for onlookers: not a reason to fail the job
        self._note_cancel(item, now)

    def _note_cancel(self, item: Item | None, now: int) -> None:
        self._looked_at = now
        self._cancelled = item is not None and "cancel_requested_at" in item

    @property
    def cancelled(self) -> bool:
        """True once a cancel was asked for."""
        now = self._clock.now()
        if not self._cancelled and now - self._looked_at >= _PACE_MS:
            try:
                self._note_cancel(self._store.get(self.id), now)
            except Unavailable:
                self._looked_at = now
        return self._cancelled

    @property
    def remaining(self) -> float:
        """Seconds until the soft limit."""
        return max(0.0, (self._until - self._clock.now()) / 1000)

    def last_said(self) -> dict[str, Any]:
        """Return the progress for the write that ends the run."""
        return {} if self._said is None else {"progress": self._said}
