"""Hooks: where your own telemetry, tracing and clean-up attach.

Write a subclass of `Hooks`, override what you need and register an instance with `add_hooks`: in
`functions/__init__.py` for the workers, and where your web app starts for what it enqueues. The library's own metrics
and log lines are attached in the same way.

A hook that raises never changes what becomes of a job: its error is logged as `a hook failed`, and work goes on. A hook
runs in the thread that does the work, so the time it takes counts.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, NamedTuple

from offload.core.errors import DefinitionError, did_you_mean
from offload.core.tasks.control import SoftTimeLimitExceeded

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from offload.core.enqueueing.handle import JobHandle
    from offload.core.enqueueing.request import EnqueueRequest
    from offload.core.jobs.state import State
    from offload.core.records import ErrorRecord
    from offload.core.tasks.context import CurrentJob

_log = logging.getLogger(__name__)


SERVICE_ERROR = "a service error"
NO_TIME_LEFT = "not enough time left in this invocation"


class RunReport(NamedTuple):
    """How a run ended.

    Attributes:
        state: The state that was recorded; None when nothing was, because another worker had claimed the job meanwhile
            or the job table did not answer.
        error: What the task raised; None when it returned.
        usage: `duration_ms`, `cpu_ms` and `memory_mb` of the run.
        queue_latency_ms: Milliseconds from the send of the message to the start of the first attempt; None for later
            attempts.
    """

    state: State | None
    error: BaseException | None
    usage: Mapping[str, int]
    queue_latency_ms: int | None


class Hooks:
    """What can be observed. Every method does nothing; override those you need."""

    def process_started(self, task: str) -> None:
        """A worker process of a task has started; jobs follow."""

    def before_enqueue(self, request: EnqueueRequest) -> None:
        """A job is about to be enqueued, by a program or from inside a task."""

    def after_enqueue(
        self, request: EnqueueRequest, handle: JobHandle[Any] | None, error: BaseException | None
    ) -> None:
        """A job was enqueued, and `handle` is its handle; or it may not have been enqueued, and `error` says why.

        `request` is the object that `before_enqueue` was called with.
        """

    def before_run(self, job: CurrentJob) -> None:
        """The function of a task is about to start; `current_job()` is `job`."""

    def after_run(self, job: CurrentJob, report: RunReport) -> None:
        """The function has ended, and its end is recorded or could not be; `current_job()` still is `job`."""

    def ended_without_run(self, task: str, job_id: str, state: State, error: ErrorRecord | None) -> None:
        """This worker has recorded that a job ended, and no run of the job ended here.

        FAILED: the message can never run, or the worker of the last attempt died; `error` says which. EXPIRED: its time
        was over before it started. CANCELLED: it was asked to stop, and its worker died before it could.
        """

    def message_returned(self, task: str, job_id: str, why: str) -> None:
        """A message goes back to its queue, because its job cannot start or end now; `why` is one of the reasons below.

        `SERVICE_ERROR`: a service did not do what the worker asked it for. `NO_TIME_LEFT`: the jobs before it in its
        batch have used up the invocation. Every other reason is the ordinary course of a wait.
        """

    def invocation_ended(self) -> None:
        """The worker has handled a batch, and may be frozen or stopped now: send what is buffered."""


_registered: tuple[Hooks, ...] = ()


def add_hooks(*hooks: Hooks) -> None:
    """Register hooks for this process, from now on. They are called in this order, `after_...` in the reverse order.

    Raises:
        DefinitionError: One is no instance of `Hooks`, has an `async` hook, or a method whose name is almost a hook's.
    """
    global _registered  # noqa: PLW0603 - one list a process is the point
    for hook in hooks:
        _check(hook)
    for hook in hooks:
        if not any(hook is registered for registered in _registered):
            _registered += (hook,)


def _check(hook: object) -> None:
    if not isinstance(hook, Hooks):
        msg = f"add_hooks takes instances of a subclass of Hooks, such as add_hooks(MyHooks()), not {hook!r}"
        raise DefinitionError(msg)
    names = [name for name in vars(Hooks) if not name.startswith("_")]
    for name in dir(type(hook)):
        method = getattr(type(hook), name)  # of the class: asking the hook itself would run its properties
        if name.startswith("_") or not callable(method):
            continue
        if name in names and iscoroutinefunction(method):
            msg = f"{type(hook).__name__}.{name} is async: a hook is an ordinary method"
            raise DefinitionError(msg)
        if name not in names and (near := did_you_mean(name, names)):
            msg = f"{type(hook).__name__}.{name} is no hook{near}; name a method that is none with a leading underscore"
            raise DefinitionError(msg)


def remove_hooks(*hooks: Hooks) -> None:
    """Unregister hooks; those that are not registered are left out."""
    global _registered  # noqa: PLW0603 - the same
    _registered = tuple(hook for hook in _registered if not any(hook is gone for gone in hooks))


def call_hooks(method: str, *args: Any, first: Iterable[Hooks] = ()) -> None:
    """Call a method of each hook: of those in `first`, then of the registered ones. What they raise is logged.

    The methods `after_...` are called in the reverse order, so that what two hooks open and close is nested.
    """
    hooks, process = (*first, *_registered), os.getpid()
    for hook in reversed(hooks) if method.startswith("after_") else hooks:
        try:
            getattr(hook, method)(*args)
        except KeyboardInterrupt:
            raise  # meant for the program
        except BaseException as error:
            if os.getpid() != process:
                raise  # the end of a child that the hook has forked
            if isinstance(error, SoftTimeLimitExceeded) and method.endswith("_enqueue"):
                raise  # meant for the task that is enqueueing
            with suppress(Exception):  # a log handler may fail too
                _log.error("a hook failed", extra={"hook": type(hook).__name__, "method": method}, exc_info=error)
        if os.getpid() != process and not method.endswith("_enqueue"):
            return  # a child that the hook has forked: the worker ends it, and the other hooks are not for it
