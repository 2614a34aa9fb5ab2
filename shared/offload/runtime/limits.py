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
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

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


class Turns(Protocol):
    """Who else brings a run's exceptions: an event loop does, while it has its turn."""

    def wait(self) -> float:
        """Return the seconds until a signal may bring the exception that is due: now, if 0 or less."""

    def bring(self) -> bool:
        """Take notice that a signal brings it now; tells whether it comes into the function itself."""

    def bring_again(self) -> None:
        """Take notice that Python has swallowed it, so that a signal brings it again."""


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

    has_signals = True
    """Whether a timer's signals bring the exceptions; they come in real time."""

    loop_factory: Callable[[], AbstractEventLoop] | None = None
    """Makes the event loop of an async task; None makes the one of `asyncio.run`."""

    def __init__(self, soft: float, hard: float) -> None:
        """Start nothing yet."""
        self.soft, self.hard = soft, hard
        self.raised = 0
        self.turns: Turns | None = None
        self._is_over = False
        self._timer: timers.Timer | None = None
        self._number = self._astray = 0
        self._last: BaseException | None = None
        self._is_last_astray = False
        self._swallowed: _Swallowed | None = None

    def pause(self, number: int) -> float | None:
        """Return the seconds until exception `number` (0 is the first), from the one before; None for no limit."""
        if number == 0:
            return max(self.soft, 0.001)
        return max((self.hard - self.soft) / 2.0 ** min(number, 64), LEAST_PAUSE)

    def call(self, function: Callable[[], T], finish: Callable[[T], U]) -> U:
        """Return `finish(function())`, and let the limit's exceptions come into both."""
        first = self.pause(0)
        if first is None or not self.has_signals or threading.current_thread() is not threading.main_thread():
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
        turns = self.turns
        wait = _SOON if not self._is_within_call(frame) else 0.0 if turns is None else turns.wait()
        if wait > 0:
            self._timer.start(wait)
            return
        self._number += 1
        self._timer.start((self.pause(self._number) if turns is None else None) or LEAST_PAUSE)
        if self._swallowed is None:
            self._swallowed = _Swallowed(self._was_swallowed)
        self._is_last_astray = turns is not None and not turns.bring()
        make = self._next_astray if self._is_last_astray else self.next_error
        self._last = make(SoftTimeLimitExceeded, StillRunning)
        raise self._last

    def _was_swallowed(self, error: BaseException | None) -> bool:
        """Tell whether Python has swallowed the exception that was raised last; if so, its like comes again, soon."""
        if error is None or error is not self._last or self._timer is None:
            return False
        self._last = None
        self._number -= 1
        if self._is_last_astray:
            self._astray -= 1
        else:
            self.raised -= 1
        if self.turns is not None:
            self.turns.bring_again()
        self._timer.start(_SOON)
        return True

    def _next_astray(
        self, first: Callable[[str], BaseException], further: Callable[[str], BaseException]
    ) -> BaseException:
        """Return an exception that comes into something beside the function; the function's own are not among them."""
        self._astray += 1
        return (first if self._astray == 1 and self.raised == 0 else further)(self._text())

    def next_error(
        self, first: Callable[[str], BaseException], further: Callable[[str], BaseException]
    ) -> BaseException:
        """Return the exception that comes next into the function, made by `first` or by `further`."""
        self.raised += 1
        return (first if self.raised == 1 else further)(self._text())

    def _text(self) -> str:
        return f"the job ran into its soft limit of {text(self.soft)}"

    def _is_within_call(self, frame: Any) -> bool:
        inner = frame
        while frame is not None:
            if frame.f_code is _CALL and frame.f_locals.get("self") is self:
                return frame is not inner
            frame = frame.f_back
        return False


_CALL = SoftLimit._call.__code__  # noqa: SLF001 - this module's own


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
