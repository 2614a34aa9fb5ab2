"""What is remembered about an engine between two commands."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Record:
    """One engine, as last seen.

    Attributes:
        port: The port it listens on, or listened on: the kept state names it, so it is used again when free.
        pid: Its process, and the leader of the process group its functions run in. None after a normal stop.
        birth: When that process began, as the operating system tells it: a pid alone may be somebody else's by now.
        since: When it was started, ISO 8601.
        stack: The stack deployed last, None when none was.
    """

    port: int
    pid: int | None = None
    birth: str | None = None
    since: str | None = None
    stack: str | None = None


def read(path: Path) -> Record | None:
    """Read a record. None when there is none, or it cannot be understood: then nothing is known."""
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        return Record(**fields)
    except (OSError, ValueError, TypeError):
        return None


def write(path: Path, record: Record) -> None:
    """Write a record whole: a reader sees the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(asdict(record), indent=2) + "\n", encoding="utf-8")
    fresh.replace(path)
