"""`Call`: a task's arguments and options as a value, for a job that is not enqueued yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from offload.core.enqueueing.handle import JobHandle
    from offload.core.enqueueing.options import CheckedOptions
    from offload.core.tasks.task import AnyTask

R_co = TypeVar("R_co", covariant=True)


class Call(Generic[R_co]):
    """A task with arguments and options. The arguments are checked when the job is enqueued.

    Attributes:
        task: The task.
        args: Positional arguments.
        kwargs: Arguments by name.
        options: How the job is to be enqueued.
    """

    __slots__ = ("args", "kwargs", "options", "task")

    def __init__(
        self, task: AnyTask[..., R_co], args: tuple[Any, ...], kwargs: dict[str, Any], options: CheckedOptions
    ) -> None:
        """Keep them; nothing is checked yet."""
        self.task: AnyTask[..., R_co] = task
        self.args: tuple[Any, ...] = args
        self.kwargs: dict[str, Any] = kwargs
        self.options: CheckedOptions = options

    def __repr__(self) -> str:
        """Show the task; arguments do not belong in logs."""
        return f"<call of {self.task.name}>"

    def delay(self) -> JobHandle[R_co]:
        """Enqueue the job; see `Task.delay`."""
        return self.task.with_options(self.options).send(self.args, self.kwargs)

    async def adelay(self) -> JobHandle[R_co]:
        """Enqueue the job from `async` code."""
        return await self.task.with_options(self.options).asend(self.args, self.kwargs)


def arguments(entry: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Read a call's arguments: a dict has them by name, a tuple by position, anything else is the only one."""
    if isinstance(entry, dict):
        return (), entry
    return (entry if isinstance(entry, tuple) else (entry,)), {}
