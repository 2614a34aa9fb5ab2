"""Time as a port, so that a run can be replayed: nothing else in the library reads the wall clock."""

from __future__ import annotations

import math
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Clock(Protocol):
    """Where time comes from."""

    def now(self) -> int:
        """Return the time in epoch milliseconds."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> int:
        """Return the time in epoch milliseconds."""
        return time.time_ns() // 1_000_000

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


class Deadline:
    """The end of the current invocation, as the transports of its worker know it.

    Transports outlive invocations, so one deadline is shared by all of them, and set anew by each invocation. Outside
    an invocation there is no end.
    """

    def __init__(self) -> None:
        """Begin without an invocation."""
        self._remaining: Callable[[], float] = _for_ever
        self._ran_out: set[str] = set()

    @contextmanager
    def during(self, remaining: Callable[[], float]) -> Iterator[None]:
        """Set the deadline for an invocation; `remaining` returns the seconds until its end."""
        self._remaining, self._ran_out = remaining, set()
        try:
            yield
        finally:
            self._remaining = _for_ever

    def begin(self, service: str, spare: float) -> RequestTime:
        """Begin a request.

        It may last until `spare` seconds before the end of the invocation. A request that begins when less than twice
        as much is left has half of it: a run may end right before the hard limit, and its end is worth recording. But
        once a request to the same service has run out of time, what is left belongs to others.
        """
        stop = spare if service in self._ran_out else min(spare, self._remaining() / 2)
        ran_out = self._ran_out
        return RequestTime(self._remaining, stop, lambda: ran_out.add(service))


class RequestTime(NamedTuple):
    """The time that one request has.

    Attributes:
        remaining: Returns the seconds until the end of the invocation.
        stop: Seconds before that end at which the request has to be over.
        ran_out: Is to be called when the request has used up its time without an answer.
    """

    remaining: Callable[[], float]
    stop: float
    ran_out: Callable[[], object]

    def left(self) -> float:
        """Return the seconds left; infinity outside an invocation."""
        return self.remaining() - self.stop

    def within(self, seconds: float) -> RequestTime:
        """Return the time of a request that has so many seconds at most.

        A service that does not answer in them has not used up the time that others have.
        """
        end = time.monotonic() + seconds
        return RequestTime(lambda: min(self.left(), end - time.monotonic()), 0.0, _nothing)


def _nothing() -> None:
    pass


def _for_ever() -> float:
    return math.inf


def iso(epoch_ms: int) -> str:
    """Write epoch milliseconds as ISO 8601 in UTC, such as `2026-11-21T02:00:00.000Z`."""
    return datetime.fromtimestamp(epoch_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def epoch_ms(value: object) -> int | None:
    """Read epoch milliseconds or an ISO 8601 text (no offset means UTC); None when it is neither."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return int(value)
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return int(moment.timestamp() * 1000)
    return None
