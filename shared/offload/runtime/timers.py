"""A timer of the process's own, which sends a signal that nobody else uses to the main thread.

Python knows only the one timer behind `SIGALRM`, and that one belongs to the task. POSIX has as many as one asks for
(`timer_create`), and Linux sends their signals to a given thread.

Rejected: a thread that waits and then calls `signal.pthread_kill`. It cannot run while C code holds the interpreter's
lock, so an endless regular expression would never be interrupted, and from Python 3.12 on each `os.fork` of a task
would warn of it.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # what `signal` makes enums of, at 4 to 8 us a call
import ctypes
import os
import signal
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SIGEV_THREAD_ID = 4
_HAS_POSIX_TIMERS = sys.platform == "linux"


class _Event(ctypes.Structure):
    """`struct sigevent`: 64 bytes, of which the kernel reads these for `SIGEV_THREAD_ID`."""

    _fields_ = (
        ("value", ctypes.c_void_p),
        ("signal", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("thread", ctypes.c_int),
        ("rest", ctypes.c_byte * 44),
    )


class _Times(ctypes.Structure):
    """`struct itimerspec`."""

    _fields_ = tuple((name, ctypes.c_long) for name in ("every_s", "every_ns", "in_s", "in_ns"))


class Timer(NamedTuple):
    """A timer; its signal comes once for each start.

    Attributes:
        signal: Its signal.
        process: The process that it belongs to: a child has none of its parent's timers.
        id: What the kernel calls it.
    """

    signal: int
    process: int
    id: Any

    def start(self, seconds: float) -> None:
        """Send the signal after `seconds`, once, and not when an earlier start would have."""
        if self.id is None:
            signal.setitimer(signal.ITIMER_REAL, seconds)
        elif self.process == os.getpid():
            whole = int(seconds)
            _set(self.id, _Times(0, 0, whole, max(1, int((seconds - whole) * 1e9))))

    def stop(self) -> None:
        """Send no signal any more, and take back one that has been sent and has not come yet."""
        if self.id is None:
            signal.setitimer(signal.ITIMER_REAL, 0)
            return
        if self.process == os.getpid():
            _set(self.id, _NEVER)
        # A pending signal comes at the end of a system call, such as this one, or is taken by it.
        while signal.sigtimedwait((self.signal,), 0) is not None:
            pass


_NEVER = _Times(0, 0, 0, 0)
_timers: dict[int, Timer] = {}
_loaded: list[ctypes.CDLL] = []


@contextmanager
def timer(handler: Callable[[int, Any], None]) -> Iterator[Timer]:
    """Let `handler` take a timer's signal in the block; afterwards the signal does what it did before.

    Signals that a task or anybody else handles are left alone. Blocks may be nested: each has a timer of its own.
    """
    number = _free_signal()
    made = _timer(number)
    before = _signal.signal(number, handler)
    try:
        yield made
    finally:
        made.stop()
        if _signal.getsignal(number) == handler:  # else the task has taken it for itself
            _signal.signal(number, before)


def _free_signal() -> int:
    if not _HAS_POSIX_TIMERS:
        return signal.SIGALRM
    for number in range(signal.SIGRTMAX, signal.SIGRTMIN, -1):
        if _signal.getsignal(number) == _signal.SIG_DFL:
            return number
    raise RuntimeError("every real-time signal of this process is taken")


def _timer(number: int) -> Timer:
    known, process = _timers.get(number), os.getpid()
    if known is None or known.process != process:
        known = _timers[number] = Timer(number, process, _create(number) if _HAS_POSIX_TIMERS else None)
    return known


def _create(number: int) -> Any:
    event = _Event(None, number, _SIGEV_THREAD_ID, threading.get_native_id())
    made = ctypes.c_void_p()
    if _library().timer_create(time.CLOCK_MONOTONIC, ctypes.byref(event), ctypes.byref(made)):
        raise OSError(ctypes.get_errno(), "timer_create")
    return made


def _set(timer_id: Any, times: _Times) -> None:
    _library().timer_settime(timer_id, 0, ctypes.byref(times), None)


def _library() -> ctypes.CDLL:
    if not _loaded:
        library = ctypes.CDLL(None, use_errno=True)
        # Before glibc 2.34 the timers are in a library of their own.
        _loaded.append(library if hasattr(library, "timer_create") else ctypes.CDLL("librt.so.1", use_errno=True))
    return _loaded[0]
