"""The record of an engine: a file that keeps its port, its process and its stack between two commands."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Record:
    """The last known facts about one engine.

    Attributes:
        port: The port that the engine listens on, or listened on last. The engine's state contains the port, so the
            next start uses it again if it is free.
        pid: Process id of the engine, and id of the process group of its functions; None after a normal stop.
        birth: When the process began, as a text of the operating system. The pid alone does not identify the engine,
            because another process may have it later.
        since: When the engine was started, ISO 8601.
        stack: Name of the stack that was deployed last; None when none was.
        deployed: The last deployment has ended well, and the engine has not lost it.
    """

    port: int
    pid: int | None = None
    birth: str | None = None
    since: str | None = None
    stack: str | None = None
    deployed: bool = False


def read(path: Path) -> Record | None:
    """Read a record; None when the file does not exist, or is not a record."""
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        return Record(**fields)
    except (OSError, ValueError, TypeError):
        return None


def write(path: Path, record: Record) -> None:
    """Write a record in one step, so that a reader sees the old record or the new one, and never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(json.dumps(asdict(record), indent=2) + "\n", encoding="utf-8")
    new.replace(path)
