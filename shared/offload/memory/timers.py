"""One-time schedules in memory: they fire when the virtual clock passes their time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from offload.core.errors import Refused
from offload.core.ports import LARGEST_TIMED, OutgoingMessage, TimedMessage

if TYPE_CHECKING:
    from offload.core.ports import Queues
    from offload.memory.clock import VirtualClock


_NAME = re.compile(r"[0-9A-Za-z_.-]{1,64}")


@dataclass(frozen=True, eq=False, slots=True)
class _Timer:
    at: int
    message: TimedMessage


class MemoryTimers:
    """`Timers` in memory. A name can be used again when its schedule has fired."""

    def __init__(self, clock: VirtualClock, queues: Queues) -> None:
        """Start without schedules; a schedule that fires sends its body to a queue of `queues`."""
        self._clock = clock
        self._queues = queues
        self._waiting: dict[str, _Timer] = {}

    def send_at(self, name: str, queue: str, body: str, at: int) -> None:
        """Have `body` sent to `queue` at epoch milliseconds `at`.

        A second schedule of the same name changes nothing: the first one is kept.

        Raises:
            Refused: The body is larger than 256 KB, or no schedule can have that name.
        """
        if not _NAME.fullmatch(name):
            raise Refused(f"{name!r} is no name of a schedule: 1 to 64 of letters, digits and _ . -")
        if len(body.encode()) > LARGEST_TIMED:
            raise Refused(f"a body of {len(body.encode())} bytes is over the limit of {LARGEST_TIMED}")
        if name in self._waiting:
            return
        timer = _Timer(at, TimedMessage(queue, body))
        self._waiting[name] = timer
        self._clock.call_at(at, partial(self._fire, name, timer))

    def get(self, name: str) -> TimedMessage | None:
        """Read a schedule; None when there is none, or when it has fired."""
        timer = self._waiting.get(name)
        return None if timer is None else timer.message

    def delete(self, name: str) -> None:
        """Delete a schedule; one that does not exist is no error."""
        self._waiting.pop(name, None)

    def waiting(self) -> dict[str, int]:
        """Return the times at which schedules fire, in epoch milliseconds by name, for tests."""
        return {name: timer.at for name, timer in self._waiting.items()}

    def _fire(self, name: str, timer: _Timer) -> None:
        if self._waiting.get(name) is not timer:
            return  # it was deleted
        del self._waiting[name]
        self._queues.send(timer.message.queue, OutgoingMessage(timer.message.body))
