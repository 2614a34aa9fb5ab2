"""The soft time limit: exceptions that come into a run until its function is left, and nowhere else.

A timer signal interrupts even a blocking call, and C code that looks for signals, such as a regular expression without
end. The timer is one of the process's own (`timers`), so a task may use `SIGALRM` as it likes. Signals reach only the
main thread, which is where Lambda runs a handler. In another thread a run meets only the hard limit.

What lets no exception get into the worker:

- the signal's handler raises only when the function is on the stack below the interrupted frame. It looks at the stack,
  because no flag could be set in the same instant in which the function returns;
- a signal that comes after the function is taken from the process before the process's own handler is put back, and
  starts no timer any more.

Python lets no exception out of some places: `__del__`, callbacks of weak references and of the garbage collector,
callbacks from C. It hands such an exception to `sys.unraisablehook`. From the first exception on until the function is
left, the limit looks there (`_Swallowed`): what Python has swallowed has not come into the function, and comes again.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from offload.core.durations import text
from offload.core.tasks.control import SoftTimeLimitExceeded
from offload.runtime import timers

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Iterator

T = TypeVar("T")
U = TypeVar("U")

LEAST_PAUSE = 0.25
"""Least seconds between two exceptions."""

_SOON = 0.01
"""Seconds until the next look at a stack that the function was not on."""


class StillRunning(BaseException):
    """Comes into a function that goes on after `SoftTimeLimitExceeded`. No `except Exception` holds it up."""


class _Swallowed:
    """What `sys.unraisablehook` is while a limit's exception may be swallowed by Python.

    Args:
        is_own: Tells whether an exception is the limit's, and takes notice of it.
    """

    def __init__(self, is_own: Callable[[BaseException | None], bool]) -> None:
        """Stand before the hook in force."""
        self._is_own, self._before = is_own, sys.unraisablehook
        sys.unraisablehook = self

    def __call__(self, unraisable: Any) -> None:
        """Keep the limit's exceptions, and hand on all others."""
        if not self._is_own(unraisable.exc_value):
            self._before(unraisable)

    def end(self) -> None:
        """Put the hook back, unless the task has set one of its own."""
        if sys.unraisablehook is self:
            sys.unraisablehook = self._before


class SoftLimit:
    """The soft limit of one run.

    The first exception is `SoftTimeLimitExceeded`. A function that goes on has half of the time that is left until the
    hard limit to clean up. Then it gets `StillRunning`, after half of what is left the next one, and so on.

    Args:
        soft: Seconds until the first exception.
        hard: Seconds until the hard limit.
    """

    loop_factory: Callable[[], AbstractEventLoop] | None = None
    """Makes the event loop of an async task; None makes the one of `asyncio.run`."""

    def __init__(self, soft: float, hard: float) -> None:
        """Start nothing yet."""
        self.soft, self.hard = soft, hard
        self.raised = 0
        self._is_over = False
        self._timer: timers.Timer | None = None
        self._pauses: Iterator[float] = iter(())
        self._may_interrupt: Callable[[], bool] = _always
        self._last: BaseException | None = None
        self._swallowed: _Swallowed | None = None

    def pauses(self) -> Iterator[float]:
        """Yield the seconds until the first exception, and from each to the next; nothing for no limit."""
        yield max(self.soft, 0.001)
        left = self.hard - self.soft
        while True:
            left /= 2
            yield max(left, LEAST_PAUSE)

    def signals(self) -> Iterator[float]:
        """Yield the same for the timer's signals, which are in real time."""
        return self.pauses()

    def call(
        self,
        function: Callable[[], T],
        finish: Callable[[T], U],
        *,
        may_interrupt: Callable[[], bool] | None = None,
        later: float = 0.0,
    ) -> U:
        """Return `finish(function())`, and let the limit's exceptions come into both.

        Args:
            function: Runs the task's function.
            finish: Is given what `function` returned.
            may_interrupt: Asked before each exception; while it says no, it is asked again. None for always.
            later: Seconds by which each exception comes later than `pauses` says.
        """
        self._may_interrupt = may_interrupt or _always
        self._pauses = (pause + later for pause in self.signals())
        first = next(self._pauses, None)
        if first is None or threading.current_thread() is not threading.main_thread():
            return self._call(function, finish)
        # One comparison of the handler in force needs one object, and each look at a method makes another.
        handler = self._interrupt
        with timers.timer(handler) as self._timer:
            self._timer.start(first)
            try:
                return self._call(function, finish)
            finally:
                # A signal may come while the timer is being stopped: started again, it would outlive its handler.
                self._is_over = True
                self._last = None
                if self._swallowed is not None:
                    self._swallowed.end()

    def _call(self, function: Callable[[], T], finish: Callable[[T], U]) -> U:
        """Call both; exceptions come only into what is called from here."""
        return finish(function())

    def _interrupt(self, _signal: int, frame: Any) -> None:
        assert self._timer is not None  # its signal is what called this
        if self._is_over:
            return
        if not self._is_within_call(frame) or not self._may_interrupt():
            self._timer.start(_SOON if self._may_interrupt is _always else LEAST_PAUSE)
            return
        self._timer.start(next(self._pauses))
        if self._swallowed is None:
            self._swallowed = _Swallowed(self._was_swallowed)
        self._last = self.next_error(SoftTimeLimitExceeded, StillRunning)
        raise self._last

    def _was_swallowed(self, error: BaseException | None) -> bool:
        """Tell whether Python has swallowed the exception that was raised last; if so, its like comes again, soon."""
        if error is None or error is not self._last or self._timer is None:
            return False
        self._last = None
        self.raised -= 1
        self._timer.start(_SOON)
        return True

    def next_error(
        self, first: Callable[[str], BaseException], further: Callable[[str], BaseException]
    ) -> BaseException:
        """Return the exception that comes next, made by `first` or by `further`."""
        self.raised += 1
        return (first if self.raised == 1 else further)(f"the job ran into its soft limit of {text(self.soft)}")

    def _is_within_call(self, frame: Any) -> bool:
        inner = frame
        while frame is not None:
            if frame.f_code is _CALL and frame.f_locals.get("self") is self:
                return frame is not inner
            frame = frame.f_back
        return False


_CALL = SoftLimit._call.__code__  # noqa: SLF001 - this module's own


def _always() -> bool:
    return True


def as_recorded(error: BaseException) -> BaseException:
    """Return a run's error as everybody outside sees it: whatever the soft limit raised is `SoftTimeLimitExceeded`.

    A group is one too if all that it holds is: so `TaskGroup` hands on what comes into its block.
    """
    leaves = list(_leaves(error))
    # By type: an error may lie about its class, or raise when asked.
    if not all(issubclass(type(leaf), (SoftTimeLimitExceeded, StillRunning)) for leaf in leaves):
        return error
    plain = SoftTimeLimitExceeded(*leaves[0].args)
    plain.__cause__, plain.__context__ = error.__cause__, error.__context__
    plain.__suppress_context__ = error.__suppress_context__
    return plain.with_traceback(error.__traceback__)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    waiting = [error]  # no recursion: groups may be nested deeper than Python's stack
    while waiting:
        each = waiting.pop()
        if issubclass(type(each), BaseExceptionGroup):
            members: tuple[BaseException, ...] = BaseExceptionGroup.exceptions.__get__(each)
            waiting += reversed(members)
        else:
            yield each
