"""Time and randomness as ports, so that a run can be replayed from a seed.

Nothing else in the library reads the wall clock or draws random numbers.
"""

from __future__ import annotations

import random
import time
import uuid
from datetime import UTC, datetime
from typing import Protocol


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


def system_random() -> random.Random:
    """Return a generator seeded by the operating system."""
    return random.SystemRandom()


def new_id(rng: random.Random) -> str:
    """Draw a job id or lease token: a version 4 UUID, 36 characters."""
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


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
