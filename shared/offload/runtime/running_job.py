"""The job that runs: what `current_job()` gives a task."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from offload.core.errors import LeaseLost, Refused, Unavailable
from offload.core.redaction import redact
from offload.core.writes import Conflict, Test, Write

if TYPE_CHECKING:
    from offload.core.clock import Clock
    from offload.core.messages.delivery import Delivery
    from offload.core.ports import JobStore
    from offload.core.records import JobRecord

_LEAST_INTERVAL_MS = 1_000
"""Least time between two progress writes, and between two looks at whether a cancel was asked for."""

_PAUSE_MS = 30_000
"""Time after a failed write or look in which neither is tried again. Each attempt keeps the job waiting for a second or
two when the job table hangs, and what only onlookers need must not use up the time of the job."""

_LONGEST_STAGE = 200
_LEAST, _MOST, _MOST_DIGITS = 1e-130, 9.9e125, 38
"""DynamoDB's numbers: these sizes, either sign, and so many digits. Zero is one too."""


def _number(name: str, value: Any) -> float:
    """Return a number the record can hold: a wrong one must fail here, not the write that ends the run.

    Raises:
        ValueError: It cannot hold this one; names the argument.
    """
    try:
        number = value if type(value) is int else float(value)
        is_stored = number == 0 or _LEAST <= abs(number) <= _MOST
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"progress: {name} takes a number, not one of type {type(value).__name__}") from error
    if not is_stored:
        raise ValueError(
            f"progress: {name} cannot be stored: it takes 0 and finite numbers of sizes from 1e-130 to 9.9e125"
        )
    if type(number) is int and len(str(abs(number)).rstrip("0")) > _MOST_DIGITS:
        raise ValueError(f"progress: {name} has more than {_MOST_DIGITS} digits, which cannot be stored")
    return number


def _text(name: str, value: Any) -> str:
    text = redact(str(value))[:_LONGEST_STAGE]
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"progress: {name}={text!r} is not valid Unicode, and cannot be stored") from error
    return text


class RunningJob:
    """One run of a job; implements `CurrentJob`.

    Threads of the job may use it at once. Who finds another one writing or reading does not wait: the other's news is
    as good. So no lock is ever waited for, which a fork or an exception of the soft limit could leave locked.

    Attributes:
        until: The soft limit in epoch milliseconds.
    """

    def __init__(self, delivery: Delivery, record: JobRecord, *, store: JobStore, clock: Clock, until: int) -> None:
        """Keep what the task may ask for."""
        self.id = delivery.job_id
        self.task = delivery.task
        self.attempt = int(record["attempt"])
        self.tenant = delivery.message.tenant
        self.hops = delivery.message.hops
        self.until = until
        self._delivery, self._store, self._clock = delivery, store, clock
        self._asking = threading.Lock()
        self._progress: dict[str, Any] | None = None
        self._written_at = 0
        self._read_at = clock.now()
        self._pause_until = 0
        self._cancelled = "cancel_requested_at" in record

    def progress(self, current: float, total: float | None = None, *, stage: str | None = None) -> None:
        """Say how far the job is; see `CurrentJob.progress`."""
        now = self._clock.now()
        progress = {
            "current": _number("current", current),
            "total": None if total is None else _number("total", total),
            "stage": None if stage is None else _text("stage", stage),
            "at": now,
        }
        self._progress = {name: value for name, value in progress.items() if value is not None}
        # The write that ends the run carries what was said last.
        if self._may_ask(self._written_at, now) and self._asking.acquire(blocking=False):
            try:
                self._write_progress(self._progress, now)
            finally:
                self._asking.release()

    def _write_progress(self, progress: dict[str, Any], now: int) -> None:
        if not self._may_ask(self._written_at, now):
            return  # another thread was faster
        self._written_at = now
        held = (Test("state", "=", "RUNNING"), Test("lease", "=", self._delivery.lease))
        try:
            write: Write[JobRecord] = Write(self.id, when=(held,), set={"progress": progress, "updated_at": now})
            record = self._store.apply(write, brief=True)
        except Conflict as conflict:
            raise LeaseLost(f"job {self.id}: another worker holds it now; this run records nothing more") from conflict
        except (Unavailable, Refused):
            self._pause()  # progress is for onlookers: not a reason to fail the job
            return
        self._read_cancel(record, now)

    def _may_ask(self, asked_at: int, now: int) -> bool:
        """Tell whether the job table may be asked for onlookers, when it was asked so at another time before."""
        return now - asked_at >= _LEAST_INTERVAL_MS and now >= self._pause_until

    def _pause(self) -> None:
        self._pause_until = self._clock.now() + _PAUSE_MS

    def _read_cancel(self, record: JobRecord | None, now: int) -> None:
        self._read_at = now
        self._cancelled = record is not None and "cancel_requested_at" in record

    @property
    def cancelled(self) -> bool:
        """True once a cancel was asked for."""
        now = self._clock.now()
        if not self._cancelled and self._may_ask(self._read_at, now) and self._asking.acquire(blocking=False):
            try:
                self._read_at = now
                self._read_cancel(self._store.get(self.id, brief=True), now)
            except (Unavailable, Refused):
                self._pause()
            finally:
                self._asking.release()
        return self._cancelled

    @property
    def remaining(self) -> float:
        """Seconds until the soft limit."""
        return max(0.0, (self.until - self._clock.now()) / 1000)

    def last_progress(self) -> dict[str, Any]:
        """Return the progress for the write that ends the run."""
        return {} if self._progress is None else {"progress": self._progress}
