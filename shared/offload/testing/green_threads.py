"""Green threads: many processes in one thread of the operating system, in the order of the virtual clock."""

from __future__ import annotations

import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from offload.core.errors import DefinitionError
from offload.core.tasks import context as job_context
from offload.memory import clock
from offload.memory.clock import VirtualClock
from offload.testing.processes import current_process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextvars import Context
    from datetime import datetime

    from greenlet import greenlet


class GreenThreads(VirtualClock):
    """A virtual clock that runs green threads.

    A green thread is a function that runs in a greenlet. The function runs until it sleeps; it goes on when the clock
    has reached the end of the sleep. Only the main program (the test) advances the clock, and each advance runs the
    green threads that are due. The order is the same in every run, because it depends on the virtual clock alone and
    not on the speed of the machine.
    """

    def __init__(self, start: datetime | None = None) -> None:
        """Start without green threads.

        Args:
            start: Where the clock begins, an aware datetime. None means the present, so that a time which is made of
                `datetime.now(UTC)` means what it says. The present is rounded up to a whole second: few things depend
                on more than that of the time of day.

        Raises:
            DefinitionError: `start` has no time zone.
        """
        if start is not None and start.utcoffset() is None:
            raise DefinitionError(f"start={start!r} has no time zone: give it a tzinfo, such as datetime.UTC")
        super().__init__(-(-clock.present() // 1000) * 1000 if start is None else int(start.timestamp() * 1000))
        self._follows_the_present = start is None
        self._green_threads: set[greenlet] = set()
        self._get_current: Callable[[], Any] | None = None
        self._main: Any = None

    def catch_up(self) -> None:
        """Let time pass until the present, if the clock began there and is behind: the test itself takes some time."""
        soon = clock.present() + 1  # a time of the present has a part of a millisecond more
        if self._follows_the_present and soon > self.now():
            self.advance_to(soon)

    def start(self, action: Callable[[], None], *, after: float = 0.0, context: Context | None = None) -> None:
        """Start a green thread `after` seconds from now; its exceptions are raised where the clock is advanced.

        Args:
            action: What it runs.
            after: Seconds until it begins.
            context: The context variables that it has; None for none.
        """
        from greenlet import getcurrent, greenlet  # only jobs that run beside each other need it

        if not self._green_threads:
            self._main, self._get_current = getcurrent(), getcurrent

        def run() -> None:
            try:
                action()
            finally:
                self._green_threads.discard(green_thread)

        green_thread = greenlet(run, parent=self._main)
        green_thread.gr_context = context
        self._green_threads.add(green_thread)
        self.call_at(self.now() + round(after * 1000), green_thread.switch)

    def sleep(self, seconds: float) -> None:
        """Wait, at most until the current process reaches one of its limits.

        Raises:
            SoftTimeLimitExceeded: The current run has reached its soft limit.
            Killed: The current process has reached its Lambda timeout.
        """
        moment, process = self.now() + round(seconds * 1000), current_process.get()
        if process is None:
            self.advance_to(moment)
            return
        self.advance_to(min([moment, *process.limits()]))
        process.check()

    def advance_to(self, moment: int) -> None:
        """Let time pass until epoch milliseconds `moment`. Called in a green thread, let the others run until then.

        Called in another thread of the operating system, which cannot switch to green threads, they go on later.
        """
        current = None if self._get_current is None else self._get_current()
        if self._green_threads and current not in {self._main, *self._green_threads}:
            self._now = max(self._now, moment)
            return
        if current not in self._green_threads:
            with without_running_loop():  # a green thread that waits leaves no loop running, and the test may have one
                super().advance_to(moment)
            return
        self.call_at(moment, current.switch)
        with without_running_loop(), job_context.set_aside():
            try:
                self._main.switch()
            except BaseException:  # `stop` ends this green thread
                process = current_process.get()
                if process is not None:
                    process.dead = True  # else the process would record how its run has ended
                raise

    def stop(self, error: type[BaseException]) -> None:
        """End every green thread by raising `error` in it."""
        for green_thread in list(self._green_threads):
            with suppress(error):
                green_thread.throw(error)
            self._green_threads.discard(green_thread)


@contextmanager
def without_running_loop() -> Iterator[None]:
    """Hide the running event loop in the block, so that what runs there can run an event loop of its own.

    Other green threads do that, and so do asynchronous tasks that an asynchronous test runs.
    """
    asyncio = sys.modules.get("asyncio")
    loop = asyncio._get_running_loop() if asyncio else None  # noqa: SLF001 - asyncio documents it for event loops
    if asyncio is None or loop is None:
        yield
        return
    asyncio._set_running_loop(None)  # noqa: SLF001
    try:
        yield
    finally:
        asyncio._set_running_loop(loop)  # noqa: SLF001
