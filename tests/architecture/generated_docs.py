"""The parts of the docs that are made from the code: `make docs` writes them, and a test compares them.

A part stands between two lines of its document, and whatever is between them is replaced:

    <!-- generated: settings -->
    <!-- end -->

Run `python -m tests.architecture.generated_docs` to write all parts; it prints the documents that it changed.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import MISSING, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from offload.core.jobs.state import ENDED, TRANSITIONS, State
from offload.core.tasks.settings import ROWS, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

ROOT = Path(__file__).parents[2]
PART = re.compile(r"<!-- generated: (\w+) -->\n(.*?)<!-- end -->\n", re.DOTALL)


def states() -> str:
    """Return the diagram and the table of every change of state, as `TRANSITIONS` has them."""
    arrows: list[str] = []
    rows: list[tuple[str, str, str]] = []
    for before, causes in TRANSITIONS.items():
        for after, cause in causes.items():
            # A backtick in a label would begin a text of another kind.
            arrows.append(f"{_node(before)} --> {after}: {cause.replace('`', '')}")
            rows.append((f"`{before}`" if before else "no record", f"`{after}`", cause))
    arrows += [f"{state} --> [*]" for state in State if state in ENDED]
    diagram = "\n".join(f"    {arrow}" for arrow in arrows)
    return f"```mermaid\nstateDiagram-v2\n{diagram}\n```\n\n{_table(('from', 'to', 'because'), rows)}"


def settings() -> str:
    """Return the table of a task's settings, as `ROWS` has them."""
    defaults = {item.name: _default(item) for item in fields(Settings)}
    rows = [(f"`{name}`", row.default or _shown(defaults[name]), row.takes, row.meaning) for name, row in ROWS.items()]
    return _table(("setting", "default", "takes", "meaning"), rows)


PARTS: dict[str, Callable[[], str]] = {"states": states, "settings": settings}
"""What each part is made by."""

DOCUMENTS = {"docs/architecture.md": ["states"], "docs/tasks.md": ["settings"]}
"""The documents that have such parts, and which."""


def with_parts(text: str) -> str:
    """Return a document with its parts written anew."""
    return PART.sub(lambda found: f"<!-- generated: {found[1]} -->\n\n{PARTS[found[1]]()}\n<!-- end -->\n", text)


def main() -> int:
    """Write the parts of every document; returns the exit code."""
    for name in DOCUMENTS:
        path = ROOT / name
        before = path.read_text(encoding="utf-8")
        after = with_parts(before)
        if after != before:
            path.write_text(after, encoding="utf-8")
            print(f"written: {name}")
    return 0


def _node(state: State | None) -> str:
    return "[*]" if state is None else state.value


def _default(item: Any) -> Any:
    return item.default if item.default is not MISSING else item.default_factory()


def _shown(value: Any) -> str:
    match value:
        case None:
            return "none"
        case tuple():
            entries = ", ".join(json.dumps(entry) for entry in value)
            return f"`({entries}{',' if len(value) == 1 else ''})`"
        case _:
            return f"`{json.dumps(value)}`"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |" for cells in (head, *rows)]
    lines.insert(1, "|---" * len(head) + "|")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
