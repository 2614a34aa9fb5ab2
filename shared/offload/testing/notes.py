"""What happens in a pipeline, in order, for people who look for the reason of something."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from offload.core.clock import iso
from offload.core.ports import Outgoing
from offload.core.writes import Write
from offload.runtime.telemetry import Telemetry

if TYPE_CHECKING:
    from offload.core.errors import OffloadError
    from offload.runtime.persistence import JobRecord

_LONGEST = 160
_TEDIOUS = ("history", "ttl", "updated_at", "usage")  # `usage` is also the one thing that differs between two runs


@dataclass(frozen=True, slots=True)
class Note:
    """Something that happened.

    Attributes:
        at: When, epoch milliseconds.
        process: Who did it; empty for the test itself.
        what: Kind: request, fault, run, invoke, killed.
        details: As the kind has them.
    """

    at: int
    process: str
    what: str
    details: tuple[Any, ...]

    def __str__(self) -> str:
        """Write it in a line."""
        return f"{iso(self.at)[11:23]} {self.process or 'test':24} {self.what:8} {self.text}"

    @property
    def text(self) -> str:
        """The details, shortened."""
        return " ".join(_short(detail) for detail in self.details)


def _short(detail: Any) -> str:
    match detail:
        case Write():
            sets = {name: value for name, value in detail.set.items() if name not in _TEDIOUS}
            text = f"{detail.id} set={sets}" + (f" add={dict(detail.add)}" if detail.add else "")
        case Outgoing():
            text = detail.body
        case tuple():
            text = " ".join(_short(part) for part in detail)
        case dict() if "state" in detail:
            text = f"-> {detail['state']}/{detail.get('attempt')}"
        case BaseException():
            text = f"!! {type(detail).__name__}"
        case _:
            text = str(detail)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


class Quiet(Telemetry):
    """Telemetry that leaves the process's loggers alone and keeps the worker's own faults."""

    def __init__(self, faults: list[Exception]) -> None:
        """Put faults into a list; nothing else is kept."""
        self._faults = faults

    def begin(self, message_id: str) -> None:
        """Start on a message."""

    def job(self, job_id: str) -> None:
        """Learn the job's id."""

    def started(self, attempt: int) -> None:
        """A run starts."""

    def end(self) -> None:
        """Leave the message."""

    def note(self, text: str) -> None:
        """Say something ordinary."""

    def ended(self, record: JobRecord, sent_at: int, now: int) -> None:
        """A run or a claim came to an end that is recorded."""

    def rejected(self, wrong: OffloadError) -> None:
        """A message can never run."""

    def handed_back(self, why: str) -> None:
        """A message goes back uncharged."""

    def trouble(self, trouble: OffloadError) -> None:
        """A service did not do what we asked."""

    def fault(self, fault: Exception) -> None:
        """The worker itself failed."""
        self._faults.append(fault)

    def flush(self) -> None:
        """Write nothing."""
