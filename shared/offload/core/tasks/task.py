"""`@task`: a plain function that can also be enqueued."""

from __future__ import annotations

import functools
import inspect
import sys
from typing import TYPE_CHECKING, Any, Generic, NoReturn, ParamSpec, Protocol, TypeVar, overload

from offload.core.enqueueing.bulk import BulkRequest, in_own_thread
from offload.core.enqueueing.options import CheckedOptions, EnqueueOptions
from offload.core.enqueueing.producer import current_producer
from offload.core.enqueueing.request import EnqueueRequest
from offload.core.errors import DefinitionError, PayloadError
from offload.core.tasks.call import Call, arguments
from offload.core.tasks.function import check_function
from offload.core.tasks.setting import is_task_name
from offload.core.tasks.settings import Settings, make_settings
from offload.core.tasks.signature import Signature

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
    from typing import Unpack

    from offload.core.enqueueing.bulk import JobHandles
    from offload.core.enqueueing.handle import JobHandle
    from offload.core.schedules import Schedule
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
        if isinstance(function, AnyTask):
            msg = f"task {function.name!r} is a task already: use @task once"
            raise DefinitionError(msg)
        check_function(function)
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
            self._check_payload(schedule)
        functools.update_wrapper(self, function)  # type: ignore[arg-type]  # this class itself cannot be called

    def _check_payload(self, schedule: Schedule) -> None:
        try:
            self.signature.read(schedule.payload)
        except PayloadError as error:
            when = getattr(schedule, "expression", None) or getattr(schedule, "interval", None)
            msg = (
                f"task {self.name!r}: schedules: {type(schedule).__name__}({when!r}): its payload does not fit {error}"
            )
            raise DefinitionError(msg) from error

    def __repr__(self) -> str:
        """Show the name."""
        return f"<task {self.name}>"

    if not TYPE_CHECKING:  # a type checker that saw this would take every misspelt name for a method

        def __getattr__(self, name: str) -> NoReturn:
            """Say what stands for a method of Celery's tasks."""
            from offload.core.enqueueing.celery_names import no_method_of_tasks  # only an error needs it

            raise no_method_of_tasks(vars(self).get("name", "?"), name)

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
            options: `delay`, `eta`, `priority`, `key`, `tenant` and more; see `EnqueueOptions`.

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
        """Enqueue with Celery's spelling: `countdown` is `delay`, the rest as in `options`, `eta` too."""
        if countdown is not None:
            for name in ("delay", "eta"):
                if options.get(name) is not None:
                    msg = f"give countdown={countdown!r} or {name}={options.get(name)!r}, not both"
                    raise DefinitionError(f"{msg}: each says when the job starts")
            options["delay"] = countdown
        return TaskWithOptions(self, CheckedOptions.read(options)).send(tuple(args), dict(kwargs or {}))

    def si(self, *args: P.args, **kwargs: P.kwargs) -> Call[R]:
        """Return a call as a value, for `delay_many`; `task.options(...).si(...)` gives it options of its own."""
        return Call(self, args, kwargs, CheckedOptions())

    def delay_many(
        self,
        calls: Iterable[Any],
        *,
        progress: Callable[[int, int], None] | None = None,
        id_prefix: str | None = None,
    ) -> JobHandles[JobHandle[R]]:
        """Enqueue many jobs, however many, in few requests and in flat memory.

        Args:
            calls: One entry a job: a dict of arguments by name, a tuple of positional ones, the single argument, or
                `task.options(...).si(...)` for a job with options of its own. They are read once, and all are checked
                before anything is sent.
            progress: Called with the number of jobs that are dealt with, and the number of all. What it raises ends
                the work.
            id_prefix: The jobs' ids are `PREFIX-0`, `PREFIX-1` and so on. The same calls under the same prefix enqueue
                only what is missing. `PREFIX/SECRET` adds to each id a tag that cannot be guessed without the secret;
                without a prefix one of this kind is drawn.

        Returns:
            One handle a call, in the same order; a handle is made when it is asked for.

        Raises:
            WrongCalls: Some entries do not fit; nothing was enqueued. It names them by index.
            PartlyEnqueued: Some entries are not known to be enqueued; it holds the handles of the others, what failed
                and how to go on.
        """
        return TaskWithOptions(self, CheckedOptions()).delay_many(calls, progress=progress, id_prefix=id_prefix)

    async def adelay_many(
        self,
        calls: Iterable[Any],
        *,
        progress: Callable[[int, int], None] | None = None,
        id_prefix: str | None = None,
    ) -> JobHandles[JobHandle[R]]:
        """`delay_many` for `async` code; `calls` is read and `progress` is called in another thread."""
        return await TaskWithOptions(self, CheckedOptions()).adelay_many(calls, progress=progress, id_prefix=id_prefix)

    def with_options(self, options: CheckedOptions) -> TaskWithOptions[P, R]:
        """Return this task with options that are checked already."""
        return TaskWithOptions(self, options)


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

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            """Say what stands for a method of Celery's tasks."""
            from offload.core.enqueueing.celery_names import no_method_of_tasks

            raise no_method_of_tasks(getattr(vars(self).get("task"), "name", "?"), name)

    def delay(self, *args: P.args, **kwargs: P.kwargs) -> JobHandle[R]:
        """Enqueue a job with these options; see `Task.delay`."""
        return self.send(args, kwargs)

    async def adelay(self, *args: P.args, **kwargs: P.kwargs) -> JobHandle[R]:
        """Enqueue from `async` code."""
        return await self.asend(args, kwargs)

    def si(self, *args: P.args, **kwargs: P.kwargs) -> Call[R]:
        """Return a call with these options as a value; see `Task.si`."""
        return Call(self.task, args, kwargs, self.options)

    def delay_many(
        self,
        calls: Iterable[Any],
        *,
        progress: Callable[[int, int], None] | None = None,
        id_prefix: str | None = None,
    ) -> JobHandles[JobHandle[R]]:
        """Enqueue many jobs with these options, unless an entry has its own; see `Task.delay_many`."""
        for name in ("id", "key"):
            if getattr(self.options, name) is not None:
                msg = f"{name} names one job: give each entry its own, such as task.options({name}=...).si(...)"
                raise DefinitionError(msg)
        shared = self._complete(self.options)

        def request(entry: Any) -> EnqueueRequest:
            if not isinstance(entry, Call):
                return self._request(*arguments(entry), shared)
            if entry.task is not self.task:
                raise PayloadError(f"the call is of task {entry.task.name!r}, not of {self.task.name!r}")
            return self._request(entry.args, entry.kwargs, entry.options.over(shared))

        return current_producer().send_many(BulkRequest(self.task.name, calls, request, id_prefix, progress))

    async def adelay_many(
        self,
        calls: Iterable[Any],
        *,
        progress: Callable[[int, int], None] | None = None,
        id_prefix: str | None = None,
    ) -> JobHandles[JobHandle[R]]:
        """`delay_many` for `async` code; see `Task.adelay_many`."""
        return await in_own_thread(
            lambda checked, told: self.delay_many(checked, progress=told, id_prefix=id_prefix), calls, progress
        )

    def send(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> JobHandle[R]:
        """Enqueue a job whose arguments are already gathered."""
        return current_producer().send(self._request(args, kwargs, self._complete(self.options)))

    async def asend(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> JobHandle[R]:
        """`send` for `async` code."""
        return await current_producer().asend(self._request(args, kwargs, self._complete(self.options)))

    def _complete(self, options: CheckedOptions) -> CheckedOptions:
        """Return the options, with the task's own expiry where they have none."""
        return options.over(CheckedOptions(expires=self.task.settings.expires))

    def _request(self, args: tuple[Any, ...], kwargs: dict[str, Any], options: CheckedOptions) -> EnqueueRequest:
        options.check_lane(self.task.name, self.task.settings.priorities)
        signature = self.task.signature
        try:
            payload = signature.bind(args, kwargs)
        except PayloadError as error:
            raise self._with_hint(error, kwargs) from error.__cause__
        return EnqueueRequest(
            self.task.name,
            payload,
            options,
            signature.read_result,
            self.task.settings.retry.max_attempts,
        )

    def _with_hint(self, error: PayloadError, kwargs: Mapping[str, Any]) -> PayloadError:
        """Return an error of a call that says so where an option stands among the arguments."""
        from offload.core.enqueueing.celery_names import hint  # only an error needs it

        taken = inspect.signature(self.task.function).parameters
        for name in kwargs:
            if name not in taken and (hint(name) or name in EnqueueOptions.__annotations__):
                said = hint(name) or f" (write task.options({name}=...).delay(...))"
                return PayloadError(f"{error}; {name!r} is an option, and options never mix with arguments{said}")
        return error


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
