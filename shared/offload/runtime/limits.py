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
from offload.core.errors import SoftTimeLimitExceeded

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator, Iterator


@contextmanager
def soft_limit(seconds: float) -> Iterator[None]:
    """Raise `SoftTimeLimitExceeded` in the block after `seconds`.

    A timer signal interrupts even a blocking call; it exists only in the main thread, which is where Lambda runs a
    handler. Elsewhere the block runs unlimited but for the hard limit.
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

    The timer signal of `soft_limit` would surface in the event loop, not in the coroutine; here it is thrown into the
    coroutine where it waits. One that computes without waiting meets only the hard limit.
    """
    import asyncio  # only async tasks pay for it

    async def limited() -> Any:
        running = asyncio.current_task()
        assert running is not None  # this is a coroutine
        limits: list[SoftTimeLimitExceeded] = []

        def reach() -> None:
            limits.append(SoftTimeLimitExceeded(f"the job ran into its soft limit of {text(seconds)}"))
            running.cancel()  # wakes the task wherever it waits

        def instead(cancelled: BaseException) -> BaseException:
            if not limits:
                return cancelled
            running.uncancel()
            return limits.pop()

        timer = asyncio.get_running_loop().call_later(seconds, reach)
        try:
            return await _steered(make(), asyncio.CancelledError, instead)
        finally:
            timer.cancel()

    return asyncio.run(limited())


@types.coroutine
def _steered(
    coroutine: Coroutine[Any, Any, Any], caught: type[BaseException], instead: Callable[[BaseException], BaseException]
) -> Generator[Any, Any, Any]:
    """Run a coroutine step by step and throw something else into it than the loop does."""
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
            thrown = instead(error)


class Usage:
    """Resource use from its creation on."""

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
