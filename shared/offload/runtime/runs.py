"""Running a task's function: within its limits, with `current_job()` set, and to a result that can be stored."""

from __future__ import annotations

import contextvars
from typing import TYPE_CHECKING, Any

from offload.core.errors import Refused, Unavailable
from offload.core.hooks import call_hooks
from offload.core.retention import result_folder
from offload.core.tasks import context
from offload.runtime.forks import ChildrenEnd
from offload.runtime.limits import SoftLimit, as_recorded
from offload.runtime.outcomes import Run
from offload.runtime.running_job import RunningJob
from offload.runtime.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from offload.core.clock import Clock
    from offload.core.hooks import Hooks
    from offload.core.messages.delivery import Delivery
    from offload.core.ports import Blobs, JobStore
    from offload.core.records import JobRecord
    from offload.core.tasks.task import AnyTask
    from offload.runtime.invocation import Invocation

INLINE_RESULT = 8_192
"""Bytes of result kept in the record. A record write costs a unit per KB, an S3 PUT as much as eight units."""


class Runs:
    """Runs the jobs of one task.

    Args:
        task: The task.
        store: Job table, for progress and cancelling.
        blobs: Large results.
        clock: Time.
        hooks: The worker's own hooks.
        limit: What raises `SoftTimeLimitExceeded` in a run; a simulation has other clocks.
    """

    def __init__(
        self,
        task: AnyTask[Any, Any],
        store: JobStore,
        blobs: Blobs,
        clock: Clock,
        hooks: Iterable[Hooks],
        limit: type[SoftLimit] = SoftLimit,
    ) -> None:
        """Keep what it needs."""
        self.task, self.store, self.blobs, self.clock, self.hooks, self.limit = task, store, blobs, clock, hooks, limit

    def run(self, delivery: Delivery, record: JobRecord, arguments: dict[str, Any], invocation: Invocation) -> Run:
        """Run the task's function; whatever it raises is in the run that is returned."""
        hard = invocation.remaining_ms / 1000
        # Even a first job that started late reaches its soft limit before the hard one.
        soft = min(self.task.settings.soft_limit, hard - min(1.0, hard / 10))
        until = self.clock.now() + int(soft * 1000)
        job = RunningJob(delivery, record, store=self.store, clock=self.clock, until=until)
        invocation.ran = True
        token, children = context.enter(job), ChildrenEnd()
        result: dict[str, Any] = {}
        error: BaseException | None = None
        try:
            with children:
                call_hooks("before_run", job, first=self.hooks)
            usage = Usage()
            try:
                # What the hooks took is gone from both limits.
                limit = self.limit(job.remaining, job.remaining + hard - soft)
                # A copy, as every event loop takes one: what the function sets is not there in the next job.
                with children:
                    text = contextvars.copy_context().run(self._call, arguments, limit)
                result = self._result(text, delivery, invocation)
            except BaseException as raised:  # noqa: BLE001 - `SystemExit` and its like fail the job, not the worker
                error = as_recorded(raised)
            used = usage.measure()
        finally:
            context.leave(token)
        return Run(job, result, error, used)

    def _call(self, arguments: dict[str, Any], limit: SoftLimit) -> str:
        """Call the function and return its result as JSON text; both may call the task's code, so both are limited."""
        function, write = self.task.function, self.task.signature.write_result
        if not self.task.is_async:
            return limit.call(lambda: function(**arguments), write)
        from offload.runtime.event_loop import run_in_event_loop  # only async tasks pay for asyncio

        return run_in_event_loop(lambda: function(**arguments), limit, write)

    def _result(self, text: str, delivery: Delivery, invocation: Invocation) -> dict[str, Any]:
        """Return a result as the record keeps it; a large one is stored in the bucket now.

        Raises:
            Refused: The bucket does not take it. Like every error of a run, it fails the attempt.
            Unavailable: The bucket did not answer while there was time; the same.
        """
        raw = text.encode()
        if len(raw) <= INLINE_RESULT:
            return {} if text == "null" else {"result": text}
        # The lease in the key keeps an overtaken worker from replacing the winner's result.
        key = f"{result_folder(self.task.name, self.task.settings.result_life)}{delivery.job_id}/{delivery.lease}.json"
        try:
            return {"result_ref": invocation.repeat_until_answered(lambda: self.blobs.put(key, raw))}
        except (Refused, Unavailable) as error:
            kind = Refused if isinstance(error, Refused) else Unavailable
            raise kind(f"the result of {len(raw)} bytes could not be stored: {error}") from error
