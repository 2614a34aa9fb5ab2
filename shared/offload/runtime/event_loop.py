"""Running an async task's coroutine as `asyncio.run` does, with the soft limit coming into it.

The event loop drives the coroutine through `LimitedCoroutine`, which hands everything on: values, exceptions of what is
awaited, the task's own cancels and timeouts. At the soft limit the loop's task is cancelled, so that whatever the
coroutine waits for is cleaned up as for any cancel; and the `CancelledError` that this brings is replaced by one that
is a `SoftTimeLimitExceeded` too.

A coroutine, a task or a callback that computes without giving the loop its turn gets the exception by the timer signal
instead, as an ordinary function does. So does the loop itself, once the coroutine has ended. Loop and signals follow
one schedule: each exception counts once, whoever brings it. What has come into a callback, or into a task from which
nothing comes back to the coroutine, has not come into the coroutine, and the loop brings it there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from offload.core.tasks.control import SoftTimeLimitExceeded
from offload.runtime.forks import ChildrenEnd
from offload.runtime.limits import LEAST_PAUSE, StillRunning, as_recorded

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from offload.runtime.limits import SoftLimit

T = TypeVar("T")
U = TypeVar("U")


class _LimitCancels(SoftTimeLimitExceeded, asyncio.CancelledError):
    """The first exception: `except SoftTimeLimitExceeded` catches it, and asyncio cleans up as for a cancel."""


# In a task's own log lines it has the name by which the task knows it.
_LimitCancels.__name__ = _LimitCancels.__qualname__ = SoftTimeLimitExceeded.__name__
_LimitCancels.__module__ = SoftTimeLimitExceeded.__module__


class _StillCancels(StillRunning, asyncio.CancelledError):
    """Each further one."""


def run_in_event_loop(make: Callable[[], Coroutine[Any, Any, T]], limit: SoftLimit, finish: Callable[[T], U]) -> U:
    """Run a coroutine in an event loop of its own, within a soft limit, and return `finish` of its result.

    When this returns, the coroutine's tasks and async generators have ended and the loop is closed, as after
    `asyncio.run`.
    """
    limited: LimitedCoroutine[T] | None = None

    def run() -> T:
        nonlocal limited
        limited = limit.turns = LimitedCoroutine(make(), limit)
        try:
            with asyncio.Runner(loop_factory=limit.loop_factory) as runner:
                return runner.run(limited)
        finally:
            limited.close()  # it has not begun when no loop could run it

    return limit.call(run, finish)


class LimitedCoroutine(Coroutine[Any, Any, T]):
    """A coroutine into which the soft limit's exceptions come.

    Args:
        coroutine: The task's own.
        limit: Its soft limit.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, T], limit: SoftLimit) -> None:
        """Start nothing: the clock runs from the first step."""
        self._coroutine, self._limit, self._children = coroutine, limit, ChildrenEnd()
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._number, self._raised, self._due = 0, 0, 0.0
        self._ended = self._cancels = self._is_brought = False
        self._stray: Callable[[], bool] | None = None

    def send(self, value: Any) -> Any:
        """Go on with a value; the loop calls it."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._wait(self._limit.pause(0))
        if self._cancels:
            self._cancel_was_swallowed()
        return self._step(self._coroutine.send, value)

    def throw(self, error: Any, *rest: Any) -> Any:
        """Go on with an exception; the loop calls it."""
        if self._cancels and isinstance(error, asyncio.CancelledError):
            self._cancels = False
            task = asyncio.current_task()
            if task is not None:
                task.uncancel()  # the limit is no cancel that somebody asked for
            error = self._limit.next_error(_LimitCancels, _StillCancels)
            self._raised = self._limit.raised
            return self._step(self._coroutine.throw, error)
        if self._cancels:
            self._cancel_was_swallowed()
        if self._stray is not None:  # what the coroutine waits for hands it on, as itself or as what it made of it
            self._stray = None
            self._limit.raised += 1
            self._raised = self._limit.raised
        return self._step(self._coroutine.throw, error, *rest)

    def close(self) -> None:
        """Close the coroutine."""
        self._stop()
        self._coroutine.close()

    def __await__(self) -> Generator[Any, Any, T]:
        """Await the coroutine itself."""
        return self._coroutine.__await__()

    def __getattr__(self, name: str) -> Any:
        """Be the coroutine to whoever looks: its names, its frame."""
        return getattr(self._coroutine, name)

    def wait(self) -> float:
        """Return the seconds until the loop has had its turn and has not brought what is due, or has ended its task."""
        return LEAST_PAUSE if self._loop is None else self._due + LEAST_PAUSE - self._loop.time()

    def bring(self) -> bool:
        """Take notice that a signal brings what is due; tells whether it comes into the coroutine."""
        assert self._loop is not None  # else `wait` would have put it off
        self._is_brought = True
        self._number += 1
        self._due = self._loop.time() + (self._limit.pause(self._number) or 0.0)
        task = asyncio.current_task(self._loop)
        if self._ended or (task is not None and task.get_coro() is self):
            return True
        self._stray = _always if task is None else task.done
        return False

    def bring_again(self) -> None:
        """Take notice that Python has swallowed it."""
        assert self._loop is not None  # as above
        self._number -= 1
        self._due = self._loop.time() - LEAST_PAUSE

    def _step(self, go_on: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return go_on(*arguments)
        except (_LimitCancels, _StillCancels) as error:
            self._stop()
            self._children.end(error)
            # To the loop's task this is an error of the coroutine: nobody has cancelled the task.
            raise as_recorded(error) from error.__cause__
        except BaseException as error:
            self._stop()
            # The loop's descriptors are its parent's too: a child that cleans up its loop breaks the parent's.
            self._children.end(None if isinstance(error, StopIteration) else error)
            raise

    def _wait(self, seconds: float | None) -> None:
        if seconds is not None and self._loop is not None:
            self._is_brought, self._raised = False, self._limit.raised
            self._due = self._loop.time() + seconds
            self._look_in(seconds)

    def _look_in(self, seconds: float) -> None:
        assert self._loop is not None  # it is set with the first wait
        self._timer = self._loop.call_at(self._loop.time() + seconds, self._reach)

    def _stop(self) -> None:
        self._ended = True
        if self._timer is not None:
            self._timer.cancel()

    def _reach(self) -> None:
        assert self._loop is not None  # it has called this
        rest = self._due - self._loop.time() if self._is_brought else 0.0
        if rest > 0 and not self._is_lost():
            self._look_in(rest if self._stray is None else min(rest, LEAST_PAUSE))
            return
        self._stray = None
        if not self._is_brought and self._limit.raised != self._raised:  # a test's clock has brought it, in a sleep
            self._number += 1
            self._wait(self._limit.pause(self._number))
            return
        self._cancels = True
        (task,) = (task for task in asyncio.all_tasks() if task.get_coro() is self)
        task.cancel()
        if rest > 0:
            self._look_in(rest)
            return
        self._number += 1
        self._wait(self._limit.pause(self._number))

    def _is_lost(self) -> bool:
        """Tell whether what a signal has brought into something else has ended there."""
        if self._stray is None or not self._stray():
            return False
        if self._stray is _always:
            return True
        self._stray = _always  # the end of a task wakes whoever waits for it: that may be the coroutine
        return False

    def _cancel_was_swallowed(self) -> None:
        # What the coroutine waited for took the cancel for itself and went on, so the coroutine has seen nothing yet.
        self._cancels = False
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()
        if self._timer is not None:
            self._timer.cancel()
        self._wait(LEAST_PAUSE)


def _always() -> bool:
    return True
