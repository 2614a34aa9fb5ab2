"""The trace of a pipeline: every event in order, for people who look for the reason of a test failure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from offload.core.clock import iso
from offload.core.ports import OutgoingMessage
from offload.core.writes import Write

MOST_EVENTS = 10_000
"""Events that a trace keeps: the latest ones. More would make Python's garbage collector slow in a large pipeline."""

_LONGEST_DETAIL = 160
"""Characters of a detail that are shown."""

_HIDDEN_ATTRIBUTES = ("history", "ttl", "updated_at", "usage")
"""Attributes of a record that say little. `usage` also differs between two runs of the same seed."""


@dataclass(frozen=True, slots=True)
class TraceEntry:
    """One event of a pipeline.

    Attributes:
        at: Time of the event, epoch milliseconds.
        process: Name of the process that acted; empty for the test itself.
        kind: `request`, `fault`, `run`, `invoke` or `killed`.
        details: More about the event, depending on its kind.
    """

    at: int
    process: str
    kind: str
    details: tuple[Any, ...]

    def __str__(self) -> str:
        """Write the event as one line."""
        return f"{iso(self.at)[11:23]} {self.process or 'test':24} {self.kind:8} {self.text}"

    @property
    def text(self) -> str:
        """The details, shortened."""
        return " ".join(_short(detail) for detail in self.details)


def _short(detail: Any) -> str:
    match detail:
        case Write():
            sets = {name: value for name, value in detail.set.items() if name not in _HIDDEN_ATTRIBUTES}
            text = f"{detail.id} set={sets}" + (f" add={dict(detail.add)}" if detail.add else "")
        case OutgoingMessage():
            text = detail.body
        case tuple():
            text = " ".join(_short(part) for part in detail)
        case BaseException():
            text = f"!! {type(detail).__name__}"
        case _:
            text = str(detail)
    return text if len(text) <= _LONGEST_DETAIL else f"{text[:_LONGEST_DETAIL]}..."
