"""Reporting what happens to jobs: log lines, and the hooks.

Neither payloads nor error messages are logged: both may hold what does not belong in a log. The record has them.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from offload.core.hooks import RunReport, call_hooks
from offload.core.jobs.state import State
from offload.core.tasks import context
from offload.runtime.failures import type_name
from offload.runtime.forks import ChildrenEnd
from offload.runtime.outcomes import HasEnded, HasFailed, RunEnded, RunOvertaken, RunRetries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from offload.core.hooks import Hooks
    from offload.core.messages.delivery import Delivery
    from offload.core.records import ErrorRecord, JobRecord
    from offload.runtime.outcomes import EndOutcome, NotClaimed, Run

_log = logging.getLogger(__name__)


class Reports:
    """Reports what happens in one worker.

    Args:
        task: The task's name.
        hooks: The worker's own hooks, called before the registered ones.
    """

    def __init__(self, task: str, hooks: Sequence[Hooks]) -> None:
        """Keep what it needs."""
        self._task, self._hooks = task, hooks

    def _call_hooks(self, method: str, *args: Any) -> None:
        with ChildrenEnd():
            call_hooks(method, *args, first=self._hooks)

    def process_started(self) -> None:
        """Report that the worker exists."""
        self._call_hooks("process_started", self._task)

    def invocation_ended(self) -> None:
        """Report that a batch is done."""
        self._call_hooks("invocation_ended")

    def job_came_out(self, outcome: NotClaimed | EndOutcome, delivery: Delivery) -> None:
        """Report what became of a job that was not run; `run_ended` reports runs."""
        known = {"job_id": delivery.job_id, "message_id": delivery.message_id}
        match outcome:
            case HasEnded(record, recorded_now=True):
                _log.info("job ended without a run", extra={**known, "state": record["state"]})
                self._ended_without_run(record, State(record["state"]), None)
            case HasEnded(record):
                _log.info("duplicate message of an ended job dropped", extra={**known, "state": record.get("state")})
            case HasFailed(record, error) if error is not None:
                _log.warning("job failed without a run", extra={**known, "error_type": error["type"]})
                self._ended_without_run(record, State.FAILED, error)
            case RunOvertaken():
                _log.info("run overtaken by another worker", extra=known)

    def _ended_without_run(self, record: JobRecord, state: State, error: ErrorRecord | None) -> None:
        self._call_hooks("ended_without_run", self._task, record["id"], state, error)

    def message_returned(self, job_id: str, why: str) -> None:
        """Report that a message goes back to its queue."""
        self._call_hooks("message_returned", self._task, job_id, why)

    def run_ended(self, delivery: Delivery, record: JobRecord, run: Run, outcome: EndOutcome | None) -> None:
        """Report how a run ended; without an outcome, its end could not be recorded."""
        state: State | None = None
        match outcome:
            case RunEnded(ended):
                state = ended
            case RunRetries():
                state = State.RETRYING
        attempt = record["attempt"]
        known = {"job_id": delivery.job_id, "message_id": delivery.message_id, "attempt": attempt, **run.usage}
        if state in (State.SUCCEEDED, State.CANCELLED):
            _log.info("job ended", extra={**known, "state": state.value})
        elif state is not None:
            error_type = "" if run.error is None else type_name(run.error)
            _log.warning("job attempt failed", extra={**known, "state": state.value, "error_type": error_type})
        latency = max(0, record["started_at"] - delivery.sent_at) if attempt == 1 else None
        token = context.enter(run.job)
        try:
            self._call_hooks("after_run", run.job, RunReport(state, run.error, run.usage, latency))
        finally:
            context.leave(token)
