"""The soft time limit and the measure of what a run used."""

from __future__ import annotations

import resource
import signal
import threading
import time
import types
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from offload.core.durations import text
from offload.core.tasks.control import SoftTimeLimitExceeded

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator, Iterator


@contextmanager
def soft_limit(seconds: float) -> Iterator[None]:
    """Raise `SoftTimeLimitExceeded` in the block after `seconds`.

    A timer signal interrupts even a blocking call. Signals reach only the main thread, which is where Lambda runs a
    handler. In another thread the block meets only the hard limit.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(_signal: int, _frame: Any) -> None:
        raise SoftTimeLimitExceeded(f"the job ran into its soft limit of {text(seconds)}")

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def run_async(make: Callable[[], Coroutine[Any, Any, Any]], seconds: float) -> Any:
    """Run a coroutine function in a loop of its own and raise `SoftTimeLimitExceeded` inside it at the limit.

    The exception of a timer signal would be raised in the event loop, not in the coroutine. So the exception is thrown
    into the coroutine where it waits. A coroutine that computes without waiting meets only the hard limit.
    """
    import asyncio  # only async tasks pay for it

    async def limited() -> Any:
        task = asyncio.current_task()
        assert task is not None  # this is a coroutine
        reached: list[SoftTimeLimitExceeded] = []

        def reach_limit() -> None:
            reached.append(SoftTimeLimitExceeded(f"the job ran into its soft limit of {text(seconds)}"))
            task.cancel()  # wakes the task wherever it waits

        def limit_or(cancelled: BaseException) -> BaseException:
            if not reached:
                return cancelled
            task.uncancel()
            return reached.pop()

        timer = asyncio.get_running_loop().call_later(seconds, reach_limit)
        try:
            return await _with_exceptions_replaced(make(), asyncio.CancelledError, limit_or)
        finally:
            timer.cancel()

    return asyncio.run(limited())


@types.coroutine
def _with_exceptions_replaced(
    coroutine: Coroutine[Any, Any, Any], caught: type[BaseException], replace: Callable[[BaseException], BaseException]
) -> Generator[Any, Any, Any]:
    """Run a coroutine step by step; when the event loop throws a `caught` into it, throw `replace` of that instead."""
    thrown: BaseException | None = None
    while True:
        try:
            awaited = coroutine.send(None) if thrown is None else coroutine.throw(thrown)
        except StopIteration as done:
            return done.value
        thrown = None
        try:
            yield awaited
        except caught as error:
            thrown = replace(error)


class Usage:
    """Measures what a run uses, from the creation of this object on."""

    def __init__(self) -> None:
        """Start the clocks."""
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def measure(self) -> dict[str, int]:
        """Return `duration_ms`, `cpu_ms` and `memory_mb` (the process's peak so far)."""
        return {
            "duration_ms": round((time.perf_counter() - self._wall) * 1000),
            "cpu_ms": round((time.process_time() - self._cpu) * 1000),
            "memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        }
