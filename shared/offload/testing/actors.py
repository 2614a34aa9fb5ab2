"""Turns: many processes in one thread, each running until it waits, in the order of the virtual clock."""

from __future__ import annotations

import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from offload.memory.clock import VirtualClock
from offload.testing.processes import running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from greenlet import greenlet


class Actors(VirtualClock):
    """A virtual clock whose sleepers take turns.

    An actor is a function that runs in a greenlet: it goes on until it sleeps, and is woken when the clock has reached
    its time. Whoever advances the clock, from outside of any actor, gives the turns. With the same wake-up times the
    order is the same in every run: there are no threads, and nothing depends on the machine's speed.
    """

    def __init__(self) -> None:
        """Start at the virtual clock's beginning, without actors."""
        super().__init__()
        self._actors: set[greenlet] = set()
        self._current: Callable[[], Any] | None = None
        self._hub: Any = None

    @property
    def acting(self) -> int:
        """Number of actors that have not ended."""
        return len(self._actors)

    def start(self, action: Callable[[], None], *, after: float = 0.0) -> None:
        """Start an actor `after` seconds from now; what it raises reaches whoever advances the clock."""
        from greenlet import getcurrent, greenlet  # only faults need it; a plain pipeline runs without

        if self._hub is None:
            self._hub, self._current = getcurrent(), getcurrent

        def act() -> None:
            try:
                action()
            finally:
                self._actors.discard(actor)

        actor = greenlet(act, parent=self._hub)
        self._actors.add(actor)
        self.call_at(self.now() + round(after * 1000), actor.switch)

    def sleep(self, seconds: float) -> None:
        """Wait, at most until the limits of the process that does.

        Raises:
            SoftTimeLimitExceeded: It is a run that reached its soft limit.
            Killed: It reached its Lambda timeout.
        """
        moment, process = self.now() + round(seconds * 1000), running.get()
        if process is None:
            self.advance_to(moment)
            return
        self.advance_to(min([moment, *process.limits()]))
        process.check()

    def advance_to(self, moment: int) -> None:
        """Let time pass: an actor lets others have their turns until then."""
        actor = None if self._current is None else self._current()
        if actor not in self._actors:
            super().advance_to(moment)
            return
        self.call_at(moment, actor.switch)
        with _outside_of_loops():
            self._hub.switch()

    def stop(self, error: type[BaseException]) -> None:
        """End every actor with an error, which is expected from it."""
        for actor in list(self._actors):
            with suppress(error):
                actor.throw(error)
            self._actors.discard(actor)


@contextmanager
def _outside_of_loops() -> Iterator[None]:
    """Let others run event loops of their own while the one of an asynchronous task stands still."""
    asyncio = sys.modules.get("asyncio")
    loop = asyncio._get_running_loop() if asyncio else None  # noqa: SLF001 - public for makers of event loops
    if asyncio is None or loop is None:
        yield
        return
    asyncio._set_running_loop(None)  # noqa: SLF001
    try:
        yield
    finally:
        asyncio._set_running_loop(loop)  # noqa: SLF001
