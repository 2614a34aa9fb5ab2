"""Records the runs of tasks' functions, and makes the faults that happen during a run."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from offload.core.tasks import context
from offload.testing.processes import Killed, current_process

if TYPE_CHECKING:
    from collections.abc import Callable

    from offload.core.tasks.task import AnyTask
    from offload.testing.faults import FaultInjector
    from offload.testing.green_threads import GreenThreads
    from offload.testing.interrupts import Interrupts


@dataclass(frozen=True, slots=True)
class RunStart:
    """One start of a task's function.

    Attributes:
        job_id: Id of the job.
        task: Name of the job's task.
        attempt: Number of the attempt.
        at: When the function started, epoch milliseconds.
        process: Name of the process in which the function started.
    """

    job_id: str
    task: str
    attempt: int
    at: int
    process: str


class RunRecorder:
    """Records every run of a pipeline.

    Attributes:
        runs: Every start, in order.
        errors: The last exception of each job's runs, by job id.
    """

    def __init__(
        self,
        clock: GreenThreads,
        injector: FaultInjector | None,
        interrupts: Interrupts,
        add_to_trace: Callable[..., None],
    ) -> None:
        """Start without runs; with `injector`, a run may hang until the Lambda timeout."""
        self._interrupts = interrupts
        self.runs: list[RunStart] = []
        self.errors: dict[str, BaseException] = {}
        self._clock, self._injector, self._add_to_trace = clock, injector, add_to_trace

    def recorded(self, task: AnyTask[Any, Any]) -> AnyTask[Any, Any]:
        """Return a copy of a task whose runs are recorded."""
        recorded: AnyTask[Any, Any] = copy.copy(task)
        recorded.function = self._wrap_async(task) if task.is_async else self._wrap(task)
        return recorded

    def _wrap(self, task: AnyTask[Any, Any]) -> Callable[..., Any]:
        def run(**arguments: Any) -> Any:
            self._before_run(task)
            try:
                value = task.function(**arguments)
            except BaseException as error:
                self._after_error(error)
                raise
            self._after_return()
            return value

        return run

    def _wrap_async(self, task: AnyTask[Any, Any]) -> Callable[..., Any]:
        async def run(**arguments: Any) -> Any:
            self._before_run(task)
            try:
                value = await task.function(**arguments)
            except BaseException as error:
                self._after_error(error)
                raise
            self._after_return()
            return value

        return run

    def _before_run(self, task: AnyTask[Any, Any]) -> None:
        job, process = context.current_job(), current_process.get()
        if process is not None:
            process.check()  # a hook that ran before may have killed the process, or used up its time
        self.runs.append(RunStart(job.id, task.name, job.attempt, self._clock.now(), process.name if process else ""))
        self._add_to_trace("run", job.id, job.attempt)
        if process is not None and process.deadline is not None:
            process.soft_limit_at = self._clock.now() + round(job.remaining * 1000)
        self._maybe_hang()

    def _after_return(self) -> None:
        self._maybe_hang()
        self._clear_soft_limit()

    def _after_error(self, error: BaseException) -> None:
        self._clear_soft_limit()
        process = current_process.get()
        # By its type: an error may lie about its class.
        if issubclass(type(error), KeyboardInterrupt) and self._interrupts.came and process is not None:
            process.dead = True  # somebody at the keyboard ends the test, and the worker does no more
        if not issubclass(type(error), Killed):  # by type: an error may lie about its class
            self.errors[context.current_job().id] = error

    def _clear_soft_limit(self) -> None:
        process = current_process.get()
        if process is not None:
            process.soft_limit_at = None

    def _maybe_hang(self) -> None:
        """Sleep until the Lambda timeout kills the process, when the injector draws this fault."""
        process, injector = current_process.get(), self._injector
        if injector is None or process is None or process.deadline is None:
            return
        # A run has two chances to hang, before its function and after it, so each has half of the probability.
        if not process.spared and injector.draw_death("timeout", injector.faults.timeout / 2):
            self._clock.sleep(max(0, process.deadline - self._clock.now()) / 1000)
            process.check()
