"""`@task`: a plain function that can also be enqueued."""

from __future__ import annotations

import functools
import inspect
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Protocol, TypeVar, overload

from offload.core.enqueueing.options import CheckedOptions
from offload.core.enqueueing.producer import current_producer
from offload.core.enqueueing.request import EnqueueRequest
from offload.core.errors import DefinitionError
from offload.core.tasks.setting import is_task_name
from offload.core.tasks.settings import Settings, make_settings
from offload.core.tasks.signature import Signature

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
    from typing import Unpack

    from offload.core.enqueueing.handle import JobHandle
    from offload.core.enqueueing.options import EnqueueOptions
    from offload.core.tasks.settings import TaskSettings

P = ParamSpec("P")
R = TypeVar("R")


class AnyTask(Generic[P, R]):
    """What is true of every task: it can be enqueued. A `Task` and an `AsyncTask` can also be called.

    Attributes:
        name: The function's name, which is also the folder's under `functions/`.
        settings: The checked settings.
        signature: Schema of payload and result.
    """

    def __init__(self, function: Callable[P, Any], given: Mapping[str, Any]) -> None:
        """Check the name, the settings and the signature at import."""
        self.name: str = is_task_name("function name", getattr(function, "__name__", None))
        self.function: Callable[P, Any] = function
        try:
            self.settings: Settings = make_settings(given)
        except DefinitionError as error:
            msg = f"task {self.name!r}: {error}"
            raise DefinitionError(msg) from error
        self.signature: Signature = Signature(self.name, function)
        self.is_async: bool = inspect.iscoroutinefunction(function)
        for schedule in self.settings.schedules:
            self.signature.read(schedule.payload)
        functools.update_wrapper(self, function)  # type: ignore[arg-type]  # this class itself cannot be called

    def __repr__(self) -> str:
        """Show the name."""
        return f"<task {self.name}>"

    def delay(self, *args: P.args, **kwargs: P.kwargs) -> JobHandle[R]:
        """Enqueue a job and return at once.

        Raises:
            PayloadError: The arguments do not fit the signature.
            Unavailable: The queue did not answer. The job may have been enqueued all the same; to try again is
                safe under the same `id` or `key`.
        """
        return TaskWithOptions(self, CheckedOptions()).delay(*args, **kwargs)

    async def adelay(self, *args: P.args, **kwargs: P.kwargs) -> JobHandle[R]:
        """Enqueue from `async` code; like `delay`."""
        return await TaskWithOptions(self, CheckedOptions()).adelay(*args, **kwargs)

    def options(self, **options: Unpack[EnqueueOptions]) -> TaskWithOptions[P, R]:
        """Say how the next job is to be enqueued; options never mix with the task's arguments.

        Args:
            options: `delay`, `priority`, `key`, `tenant`, `expires`, `id`; see `EnqueueOptions`.

        Raises:
            DefinitionError: An option is wrong; names it.
        """
        return TaskWithOptions(self, CheckedOptions.read(options))

    def apply_async(
        self,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        countdown: float | None = None,
        **options: Unpack[EnqueueOptions],
    ) -> JobHandle[R]:
        """Enqueue with Celery's spelling: `countdown` is `delay`, the rest as in `options`."""
        if countdown is not None:
            if options.get("delay") is not None:
                msg = f"give countdown={countdown!r} or delay={options['delay']!r}, not both: they are the same option"
                raise DefinitionError(msg)
            options["delay"] = countdown
        return TaskWithOptions(self, CheckedOptions.read(options)).send(tuple(args), dict(kwargs or {}))

    def delay_many(self, calls: Iterable[Any]) -> list[JobHandle[R]]:
        """Enqueue many jobs, ten messages a request.

        Args:
            calls: One entry a job: a dict of arguments by name, a tuple of positional ones, or the single argument.

        Returns:
            One handle a call, in the same order.

        Raises:
            PayloadError: An entry does not fit; nothing was enqueued.
            PartlyEnqueued: Some entries are not known to be enqueued; it holds the handles of the others, what failed
                and the job ids under which to try again.
        """
        return TaskWithOptions(self, CheckedOptions()).delay_many(calls)


class Task(AnyTask[P, R]):
    """A task made from an ordinary function: call it like the function it wraps, or enqueue it."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function here and now, with nothing in between."""
        result: R = self.function(*args, **kwargs)
        return result


class AsyncTask(AnyTask[P, R]):
    """A task made from an `async def`: await it like the function it wraps, or enqueue it."""

    def __init__(self, function: Callable[P, Any], given: Mapping[str, Any]) -> None:
        """Let programs that ask `inspect.iscoroutinefunction` know, where Python (from 3.12) can be told."""
        super().__init__(function, given)
        if sys.version_info >= (3, 12):
            inspect.markcoroutinefunction(self)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        """Return the function's coroutine, with nothing in between."""
        coroutine: Coroutine[Any, Any, R] = self.function(*args, **kwargs)
        return coroutine


class TaskWithOptions(Generic[P, R]):
    """A task with options, ready to enqueue."""

    def __init__(self, task: AnyTask[P, R], options: CheckedOptions) -> None:
        """Keep both."""
        self.task: AnyTask[P, R] = task
        self.options: CheckedOptions = options

    def delay(self, *args: P.args, **kwargs: P.kwargs) -> JobHandle[R]:
        """Enqueue a job with these options; see `Task.delay`."""
        return self.send(args, kwargs)

    async def adelay(self, *args: P.args, **kwargs: P.kwargs) -> JobHandle[R]:
        """Enqueue from `async` code."""
        import asyncio  # only async callers pay for it

        return await asyncio.to_thread(self.send, args, kwargs)

    def delay_many(self, calls: Iterable[Any]) -> list[JobHandle[R]]:
        """Enqueue many jobs with these options; see `Task.delay_many`."""
        if self.options.id is not None or self.options.key is not None:
            msg = "delay_many: id and key name one job; enqueue such jobs one by one"
            raise DefinitionError(msg)
        requests = [self._request(*_arguments(entry)) for entry in calls]
        return current_producer().send_many(requests)

    def send(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> JobHandle[R]:
        """Enqueue a job whose arguments are already gathered."""
        return current_producer().send(self._request(args, kwargs))

    def _request(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> EnqueueRequest:
        options = self.options
        if options.expires is None and self.task.settings.expires is not None:
            options = replace(options, expires=self.task.settings.expires)
        options.check_lane(self.task.name, self.task.settings.priorities)
        signature = self.task.signature
        return EnqueueRequest(
            self.task.name,
            signature.bind(args, kwargs),
            options,
            signature.read_result,
            self.task.settings.retry.max_attempts,
        )


def _arguments(entry: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(entry, dict):
        return (), entry
    return (entry if isinstance(entry, tuple) else (entry,)), {}


class TaskDecorator(Protocol):
    """What `task(...)` returns: it keeps the parameters and the result of the function."""

    @overload
    def __call__(  # type: ignore[overload-overlap]  # the first that fits is meant
        self, function: Callable[P, Coroutine[Any, Any, R]], /
    ) -> AsyncTask[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Task[P, R]: ...


@overload
def task(  # type: ignore[overload-overlap]  # the first that fits is meant
    function: Callable[P, Coroutine[Any, Any, R]], /
) -> AsyncTask[P, R]: ...
@overload
def task(function: Callable[P, R], /) -> Task[P, R]: ...
@overload
def task(**settings: Unpack[TaskSettings]) -> TaskDecorator: ...
def task(function: Callable[..., Any] | None = None, /, **settings: Any) -> Any:
    """Make a function a task; see `TaskSettings` for what it takes.

    The function stays a plain callable. Its signature is the payload's schema; `async def` works.

    Raises:
        DefinitionError: A setting, the name or the signature is wrong; raised at import.
    """
    if function is None:
        return functools.partial(_make_task, settings=settings)
    return _make_task(function, settings=settings)


def _make_task(function: Callable[..., Any], *, settings: dict[str, Any]) -> AnyTask[Any, Any]:
    return (AsyncTask if inspect.iscoroutinefunction(function) else Task)(function, settings)
