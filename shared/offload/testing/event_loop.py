"""The event loop of an asynchronous task in a test: its sleeps, timeouts and limits are in virtual time.

Time passes when nothing is left to do but to wait for it. While the task also waits for something real (a socket, a
pipe, a call in a thread), time passes as it really does, because nobody knows when the answer comes.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
import selectors
from typing import TYPE_CHECKING, Any

from offload.core.clock import SystemClock
from offload.runtime.event_loop import LimitedCoroutine
from offload.testing import job_threads

if TYPE_CHECKING:
    from collections.abc import Callable

    from offload.testing.processes import Process

_RESOLUTION = 0.0005
"""Seconds: half of the virtual clock's millisecond, so that no timer is missed by a rounding."""

_LOOK_AGAIN = 0.05
"""Seconds after which a real wait is looked at again: a thread that ends wakes no selector."""

_REAL = SystemClock()


class _Selector(selectors.DefaultSelector):
    """Waits for descriptors, unless `passes` lets the time pass instead."""

    passes: Callable[[float], bool]
    waited: Callable[[int], None]

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if timeout is not None and self.passes(timeout):
            return super().select(0)
        began = _REAL.now()
        ready = super().select(_LOOK_AGAIN if timeout is None else min(timeout, _LOOK_AGAIN))
        self.waited(_REAL.now() - began)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in the time of a process under the virtual clock."""

    def __init__(self, process: Process) -> None:
        """Begin without callbacks."""
        self._process, self._began_at = process, process.clock.now()
        self._awaited: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._count = itertools.count()
        selector = _Selector()
        super().__init__(selector)
        self._clock_resolution = _RESOLUTION
        self._sockets, self._of_loop = selector, len(selector.get_map())
        selector.passes, selector.waited = self._let_pass, self._note_real_time

    def time(self) -> float:
        """Return the virtual seconds since the loop was made."""
        return (self._process.clock.now() - self._began_at) / 1000

    def call_at(  # type: ignore[override]  # the supertype's form needs Python 3.12 to write down
        self, when: float, callback: Any, *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        """Call something at a time of the loop; see `asyncio.AbstractEventLoop.call_at`."""
        handle = super().call_at(when, callback, *args, context=context)
        if not isinstance(getattr(callback, "__self__", None), LimitedCoroutine):
            heapq.heappush(self._awaited, (when, next(self._count), handle))
        return handle

    def close(self) -> None:
        """Close the loop; the tasks of a process that was killed end without a word."""
        for task in asyncio.all_tasks(self) if self._process.dead else ():
            task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001 - as asyncio does itself
        super().close()

    def _let_pass(self, seconds: float) -> bool:
        if self._waits_for_real_things():
            return False
        self._process.pass_time(max(1, math.ceil((seconds - _RESOLUTION) * 1000)))
        return True

    def _waits_for_real_things(self) -> bool:
        while self._awaited and (self._awaited[0][2].cancelled() or self._awaited[0][0] <= self.time()):
            heapq.heappop(self._awaited)
        # Without a timer of its own the task waits for something that only its limit would end.
        return not self._awaited or len(self._sockets.get_map()) > self._of_loop or job_threads.are_at_work()

    def _note_real_time(self, milliseconds: int) -> None:
        self._process.pass_time(max(0, milliseconds))  # the machine's clock may be set back
