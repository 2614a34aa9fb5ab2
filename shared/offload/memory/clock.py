"""Time that passes when told to."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

START = 1_767_225_600_000
"""2026-01-01T00:00:00Z: any fixed time would do."""


class VirtualClock:
    """A `Clock` that stands still until it is advanced; what is due on the way happens in order, at its time."""

    def __init__(self, now: int = START) -> None:
        """Start at `now`, in epoch milliseconds."""
        self._now = now
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0

    def now(self) -> int:
        """Return the time in epoch milliseconds."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Let the time pass at once."""
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Let time pass, and whatever is due within it happen."""
        self.advance_to(self._now + round(seconds * 1000))

    def advance_to(self, moment: int) -> None:
        """Let time pass until epoch milliseconds `moment`; a moment in the past changes nothing."""
        while self._due and self._due[0][0] <= moment:
            at, _, action = heapq.heappop(self._due)
            self._now = max(self._now, at)
            action()
        self._now = max(self._now, moment)

    def call_at(self, moment: int, action: Callable[[], None]) -> None:
        """Have `action` called when the time has come; one that is due already waits for the next advance."""
        self._count += 1
        heapq.heappush(self._due, (moment, self._count, action))

    def next_due(self) -> int | None:
        """Return when the next action is due, in epoch milliseconds; None when there is none."""
        return self._due[0][0] if self._due else None
