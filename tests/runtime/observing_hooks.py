"""Hooks that note how they are called, and hooks that raise."""

from __future__ import annotations

from typing import Any

from offload import Hooks, State
from offload.core.tasks.context import running_job

METHODS = [name for name in vars(Hooks) if not name.startswith("_")]


class Recorder(Hooks):
    """Notes each call of a hook, with its arguments and the job that was the current one.

    Attributes:
        calls: The methods that were called, in order.
        arguments: The arguments of each call.
        jobs: `current_job()` at each call; None outside a run.
    """

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.arguments: list[tuple[Any, ...]] = []
        self.jobs: list[Any] = []

    def _note(self, method: str, *arguments: Any) -> None:
        self.calls.append(method)
        self.arguments.append(arguments)
        self.jobs.append(running_job())

    def forget(self) -> None:
        """Forget every call so far."""
        for noted in (self.calls, self.arguments, self.jobs):
            noted.clear()

    def of(self, method: str) -> list[tuple[Any, ...]]:
        """Return the arguments of each call of one method."""
        return [arguments for name, arguments in zip(self.calls, self.arguments, strict=True) if name == method]

    def reports(self) -> list[tuple[int, State | None, str | None]]:
        """Return what each `after_run` was told: the attempt, the state, and the type of the error."""
        return [
            (job.attempt, report.state, None if report.error is None else type(report.error).__name__)
            for job, report in self.of("after_run")
        ]

    def process_started(self, task):
        self._note("process_started", task)

    def before_enqueue(self, request):
        self._note("before_enqueue", request)

    def after_enqueue(self, request, handle, error):
        self._note("after_enqueue", request, handle, error)

    def before_run(self, job):
        self._note("before_run", job)

    def after_run(self, job, report):
        self._note("after_run", job, report)

    def ended_without_run(self, task, job_id, state, error):
        self._note("ended_without_run", task, job_id, state, error)

    def message_returned(self, task, job_id, why):
        self._note("message_returned", task, job_id, why)

    def invocation_ended(self):
        self._note("invocation_ended")


class Raising(Hooks):
    """Hooks of which one method raises an error, whenever it is called."""

    def __init__(self, method: str, error: BaseException) -> None:
        self.called = 0
        self._error = error
        setattr(self, method, self._raise)

    def _raise(self, *_arguments: Any) -> None:
        self.called += 1
        raise self._error
