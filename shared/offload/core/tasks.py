"""`@task`: a plain function that can also be enqueued."""

from __future__ import annotations

import functools
import inspect
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload

from offload.core.errors import DefinitionError
from offload.core.producing import Options, Order, producer
from offload.core.settings import Settings, check_name, make_settings
from offload.core.signature import Signature

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from offload.core.durations import Duration
    from offload.core.handles import JobHandle

P = ParamSpec("P")
R = TypeVar("R")


class Task(Generic[P, R]):
    """A task: call it like the function it wraps, or enqueue it.

    Attributes:
        name: The function's name, which is also the folder's under `functions/`.
        settings: The checked settings.
        signature: Schema of payload and result.
    """

    def __init__(self, function: Callable[P, R], given: dict[str, Any]) -> None:
        """Check the name, the settings and the signature at import."""
        self.name = check_name(getattr(function, "__name__", None), "function name")
        self.function = function
        try:
            self.settings: Settings = make_settings(given)
        except DefinitionError as error:
            msg = f"task {self.name!r}: {error}"
            raise DefinitionError(msg) from error
        self.signature = Signature(self.name, function)
        self.is_async = inspect.iscoroutinefunction(function)
        for schedule in self.settings.schedules:
            self.signature.read(schedule.payload)
        functools.update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function here and now, with nothing in between."""
        return self.function(*args, **kwargs)

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
        return Bound(self, Options()).delay(*args, **kwargs)

    async def adelay(self, *args: P.args, **kwargs: P.kwargs) -> JobHandle[R]:
        """Enqueue from `async` code; like `delay`."""
        return await Bound(self, Options()).adelay(*args, **kwargs)

    def options(
        self,
        *,
        delay: Duration | None = None,
        priority: str | None = None,
        key: str | None = None,
        tenant: str | None = None,
        expires: Duration | None = None,
        id: str | None = None,  # noqa: A002 - the field's name in the message contract
    ) -> Bound[P, R]:
        """Say how the next job is to be enqueued; options never mix with the task's arguments.

        Args:
            delay: Wait this long before the first attempt.
            priority: One of the task's `priorities`.
            key: Idempotency key: for a day from its first use it names one job of this task, which is returned instead,
                unless that was cancelled or expired before it ever started.
            tenant: Fairness group, so that one tenant's backlog does not hold up the others.
            expires: End EXPIRED instead of starting after this long.
            id: The job's id; None draws one.

        Raises:
            DefinitionError: An option is wrong; names it.
        """
        return Bound(self, Options(delay=delay, priority=priority, key=key, tenant=tenant, expires=expires, id=id))

    def apply_async(
        self,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        countdown: float | None = None,
        **options: Any,
    ) -> JobHandle[R]:
        """Enqueue with Celery's spelling: `countdown` is `delay`, the rest as in `options`."""
        if countdown is not None:
            options.setdefault("delay", countdown)
        return Bound(self, Options.read(options)).send(tuple(args), dict(kwargs or {}))

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
        return Bound(self, Options()).delay_many(calls)


@dataclass(frozen=True)
class Bound(Generic[P, R]):
    """A task with options, ready to enqueue."""

    task: Task[P, R]
    settings: Options

    def delay(self, *args: P.args, **kwargs: P.kwargs) -> JobHandle[R]:
        """Enqueue a job with these options; see `Task.delay`."""
        return self.send(args, kwargs)

    async def adelay(self, *args: P.args, **kwargs: P.kwargs) -> JobHandle[R]:
        """Enqueue from `async` code."""
        import asyncio  # only async callers pay for it

        return await asyncio.to_thread(self.send, args, kwargs)

    def delay_many(self, calls: Iterable[Any]) -> list[JobHandle[R]]:
        """Enqueue many jobs with these options; see `Task.delay_many`."""
        if self.settings.id is not None or self.settings.key is not None:
            msg = "delay_many: id and key name one job; enqueue such jobs one by one"
            raise DefinitionError(msg)
        orders = [self._order(*_call(entry)) for entry in calls]
        return producer().send_many(orders)

    def send(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> JobHandle[R]:
        """Enqueue a job whose arguments are already gathered."""
        return producer().send(self._order(args, kwargs))

    def _order(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Order:
        options = self.settings
        if options.expires is None and self.task.settings.expires is not None:
            options = replace(options, expires=self.task.settings.expires)
        options.check_lane(self.task.name, self.task.settings.priorities)
        signature = self.task.signature
        return Order(
            self.task.name,
            signature.bind(args, kwargs),
            options,
            signature.read_result,
            self.task.settings.retry.max_attempts,
        )


def _call(entry: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(entry, dict):
        return (), entry
    return (entry if isinstance(entry, tuple) else (entry,)), {}


@overload
def task(function: Callable[P, Awaitable[R]], /) -> Task[P, R]: ...
@overload
def task(function: Callable[P, R], /) -> Task[P, R]: ...
@overload
def task(**settings: Any) -> _Decorator: ...
def task(function: Callable[..., Any] | None = None, /, **settings: Any) -> Any:
    """Make a function a task; see `Settings` for what it takes.

    The function stays a plain callable. Its signature is the payload's schema; `async def` works.

    Raises:
        DefinitionError: A setting, the name or the signature is wrong; raised at import.
    """
    if function is not None:
        return Task(function, {})
    return lambda inner: Task(inner, settings)


class _Decorator:
    """What `task(...)` returns, for type checkers: keeps parameters and result."""

    @overload
    def __call__(self, function: Callable[P, Awaitable[R]], /) -> Task[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Task[P, R]: ...
    def __call__(self, function: Callable[..., Any], /) -> Any:
        """Wrap the function."""
        return Task(function, {})
