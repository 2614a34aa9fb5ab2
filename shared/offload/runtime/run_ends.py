"""Recording how a run ended: success, another attempt, failure, or the cancellation that was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from offload.core.errors import LeaseLost, Refused
from offload.core.jobs import ending
from offload.core.jobs.state import State
from offload.core.tasks.retry_policy import RunAgain
from offload.core.workflows.follow_ups import with_follow_up
from offload.core.writes import Conflict
from offload.runtime.failures import describe, explain
from offload.runtime.outcomes import RunEnded, RunOvertaken, RunRetries

if TYPE_CHECKING:
    from collections.abc import Mapping

    from offload.core.clock import Clock
    from offload.core.messages.delivery import Delivery
    from offload.core.ports import JobStore
    from offload.core.records import JobRecord
    from offload.core.tasks.settings import Settings
    from offload.core.writes import Write
    from offload.runtime.invocation import Invocation
    from offload.runtime.outcomes import EndOutcome, Run


class RunEnds:
    """Records the ends of a task's runs."""

    def __init__(self, settings: Settings, store: JobStore, clock: Clock) -> None:
        """Keep what it needs."""
        self.settings, self.store, self.clock = settings, store, clock

    def write_end(self, delivery: Delivery, record: JobRecord, run: Run, invocation: Invocation) -> EndOutcome:
        """Record the end of a run.

        An end that the table can never store is recorded without what the run told of itself, then as a failure with
        nothing but its reason. It is recorded in any case: the function has done its work, and must not do it again.

        Args:
            delivery: The delivery that holds the lease.
            record: The record as it was after the claim.
            run: The run.
            invocation: The invocation: the write is repeated until it is carried out or the invocation ends.

        Raises:
            Unavailable: The table did not answer while there was time; the end is not recorded.
            Refused: The table refused the end, for a reason that may pass, while there was time; the same.
        """
        if issubclass(type(run.error), LeaseLost):  # by type: an error may lie about its class
            return RunOvertaken()
        for run_attributes in (run.attributes, {}):
            try:
                return self._write(delivery, record, run, invocation, run_attributes)
            except Refused as refused:
                if not refused.lasting:
                    raise
                reason = f"the end of the run cannot be recorded: {refused}"
        error = explain(Refused(reason), record["attempt"])
        write = ending.end_run_failed(delivery, record, self.clock.now(), error=error, run_attributes={})
        return self._apply(write, delivery, invocation)

    def _write(
        self,
        delivery: Delivery,
        record: JobRecord,
        run: Run,
        invocation: Invocation,
        run_attributes: Mapping[str, Any],
    ) -> EndOutcome:
        now = self.clock.now()
        if run.error is None:
            until = now + int(self.settings.result_life * 1000)
            write = ending.end_succeeded(
                delivery, record, now, result=run.result, run_attributes=run_attributes, result_until=until
            )
            return self._apply(write, delivery, invocation)
        attempt = record["attempt"]
        error = describe(run.error, attempt)
        decision = self.settings.retry.decide(run.error, attempt, invocation.rng)
        if not isinstance(decision, RunAgain):
            write = ending.end_run_failed(delivery, record, now, error=error, run_attributes=run_attributes)
            return self._apply(write, delivery, invocation)
        due = now + int(decision.delay * 1000)
        write = ending.end_attempt(delivery, record, now, error=error, due=due, run_attributes=run_attributes)
        # Refused when somebody has asked for a cancel meanwhile; then the job ends here, without another attempt.
        instead = ending.end_cancelled(delivery, record, now, run_attributes=run_attributes)
        return self._apply(write, delivery, invocation, due=due, if_cancelled=instead)

    def _apply(
        self,
        write: Write[JobRecord],
        delivery: Delivery,
        invocation: Invocation,
        *,
        due: int | None = None,
        if_cancelled: Write[JobRecord] | None = None,
    ) -> EndOutcome:
        """Carry out the write that ends a run, and repeat it for every error that time or fresh credentials may cure.

        Without this write the job would run again, or count as failed, although its function has done its work. Nobody
        else takes the job meanwhile, because the lease lasts as long as the invocation.
        """
        write = with_follow_up(write, self.settings.follow_ups)
        try:
            record = invocation.repeat_until_answered(lambda: self.store.apply(write), also_refused=True)
        except Conflict as conflict:
            known: JobRecord | None = conflict.item
            record = known or {}
            if not ending.was_recorded(record, delivery):
                if if_cancelled is not None and ending.is_asked_to_stop(record, delivery):
                    return self._apply(if_cancelled, delivery, invocation)
                return RunOvertaken()
        return RunEnded(State(write.set["state"]), record) if due is None else RunRetries(due)
