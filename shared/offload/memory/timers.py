"""One-time schedules in memory: they fire when the virtual clock passes their time."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from offload.core.errors import Refused
from offload.core.ports import OutgoingMessage

if TYPE_CHECKING:
    from offload.core.ports import Queues
    from offload.memory.clock import VirtualClock

LARGEST_BODY = 256 * 1024
"""Bytes that EventBridge Scheduler accepts in the body of a schedule."""


class MemoryTimers:
    """`Timers` in memory. A name can be used again when its schedule has fired."""

    def __init__(self, clock: VirtualClock, queues: Queues) -> None:
        """Start without schedules; a schedule that fires sends its body to a queue of `queues`."""
        self._clock = clock
        self._queues = queues
        self._waiting: dict[str, int] = {}

    def send_at(self, name: str, queue: str, body: str, at: int) -> None:
        """Have `body` sent to `queue` at epoch milliseconds `at`.

        A second schedule of the same name changes nothing: the first one is kept.

        Raises:
            Refused: The body is larger than 256 KB.
        """
        if len(body.encode()) > LARGEST_BODY:
            raise Refused(f"a body of {len(body.encode())} bytes is over the limit of {LARGEST_BODY}")
        if name in self._waiting:
            return
        self._waiting[name] = at
        self._clock.call_at(at, partial(self._fire, name, queue, body))

    def waiting(self) -> dict[str, int]:
        """Return the times at which schedules fire, in epoch milliseconds by name, for tests."""
        return dict(self._waiting)

    def _fire(self, name: str, queue: str, body: str) -> None:
        del self._waiting[name]
        self._queues.send(queue, OutgoingMessage(body))
