"""The runs of tasks' functions: each is noted, and exposed to what can befall a run."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from offload.core import context
from offload.testing.processes import Killed, running

if TYPE_CHECKING:
    from collections.abc import Callable

    from offload.core.tasks import Task
    from offload.testing.actors import Actors
    from offload.testing.faults import Luck


@dataclass(frozen=True, slots=True)
class Run:
    """One start of a task's function.

    Attributes:
        job_id: The job.
        task: Its task.
        attempt: Number of the attempt.
        at: When it started, epoch milliseconds.
        process: Name of the process it started in.
    """

    job_id: str
    task: str
    attempt: int
    at: int
    process: str


class Watch:
    """Watches every run of a pipeline.

    Attributes:
        runs: Every start, in order.
        errors: The last exception of each job's runs, by job id.
    """

    def __init__(self, clock: Actors, luck: Luck | None, note: Callable[..., None]) -> None:
        """Note runs; without `luck` nothing befalls them."""
        self.runs: list[Run] = []
        self.errors: dict[str, BaseException] = {}
        self._clock, self._luck, self._note = clock, luck, note

    def over(self, task: Task[Any, Any]) -> Task[Any, Any]:
        """Return the task with its runs watched."""
        watched = copy.copy(task)
        watched.function = self._async(task) if task.is_async else self._sync(task)
        return watched

    def _sync(self, task: Task[Any, Any]) -> Callable[..., Any]:
        def run(**arguments: Any) -> Any:
            self._begin(task)
            try:
                value = task.function(**arguments)
            except BaseException as error:
                self._failed(error)
                raise
            self._end()
            return value

        return run

    def _async(self, task: Task[Any, Any]) -> Callable[..., Any]:
        async def run(**arguments: Any) -> Any:
            self._begin(task)
            try:
                value = await task.function(**arguments)
            except BaseException as error:
                self._failed(error)
                raise
            self._end()
            return value

        return run

    def _begin(self, task: Task[Any, Any]) -> None:
        job, process = context.current_job(), running.get()
        self.runs.append(Run(job.id, task.name, job.attempt, self._clock.now(), process.name if process else ""))
        self._note("run", job.id, job.attempt)
        if process is not None and process.deadline is not None:
            process.soft = self._clock.now() + round(job.remaining * 1000)
        self._hang()

    def _end(self) -> None:
        self._hang()
        self._forget_soft_limit()

    def _forget_soft_limit(self) -> None:
        process = running.get()
        if process is not None:
            process.soft = None

    def _failed(self, error: BaseException) -> None:
        self._forget_soft_limit()
        if not isinstance(error, Killed):
            self.errors[context.current_job().id] = error

    def _hang(self) -> None:
        """Perhaps take until the Lambda timeout, and die of it."""
        process, luck = running.get(), self._luck
        if luck is None or process is None or process.deadline is None:
            return
        if luck.dies("timeout", luck.faults.timeout / 2):
            self._clock.sleep(max(0, process.deadline - self._clock.now()) / 1000)
            process.check()
