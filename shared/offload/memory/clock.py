"""A clock for tests and simulations: its time passes only when the clock is advanced."""

from __future__ import annotations

import heapq
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from offload.core.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable

START = 1_767_225_600_000
"""2026-01-01T00:00:00Z. Any fixed time serves."""


def present() -> int:
    """Return the present moment in epoch milliseconds."""
    return SystemClock().now()


class VirtualClock:
    """A `Clock` that stands still until it is advanced.

    While the clock is advanced, each action that becomes due is called at its time, in order.
    """

    def __init__(self, now: int = START) -> None:
        """Start at `now`, in epoch milliseconds."""
        self._now = now
        self._actions: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0  # the second part of a heap entry: actions of the same time are called in the order they came

    def now(self) -> int:
        """Return the time in epoch milliseconds."""
        return self._now

    def utc_now(self) -> datetime:
        """Return the time, in UTC."""
        return datetime.fromtimestamp(self._now / 1000, UTC)

    def sleep(self, seconds: float) -> None:
        """Let the time pass at once."""
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Let time pass, and call the actions that become due."""
        self.advance_to(self._now + round(seconds * 1000))

    def advance_to(self, moment: int) -> None:
        """Let time pass until epoch milliseconds `moment`.

        The clock never goes back: a moment in the past calls the actions that are due already and changes nothing else.
        """
        while self._actions and self._actions[0][0] <= moment:
            at, _, action = heapq.heappop(self._actions)
            self._now = max(self._now, at)
            action()
        self._now = max(self._now, moment)

    def call_at(self, moment: int, action: Callable[[], None]) -> None:
        """Have `action` called at epoch milliseconds `moment`; an action in the past waits for the next advance."""
        self._count += 1
        heapq.heappush(self._actions, (moment, self._count, action))

    def next_due(self) -> int | None:
        """Return when the next action is due, in epoch milliseconds; None when no action waits."""
        return self._actions[0][0] if self._actions else None
