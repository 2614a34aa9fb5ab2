"""`python -m demo`: play the demo, and tell how each job ended."""

from __future__ import annotations

import argparse
import json
import sys

from rich.console import Console

from demo.board import print_verdicts
from demo.play import play
from offload import OffloadError
from offload.local import processes
from offload.local.layout import Layout
from offload.local.progress import Progress

_WIDTH = 120
"""Columns of a table that is printed into a pipe or a log."""

_INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""


def main(arguments: list[str] | None = None) -> int:
    """Return the exit status: 1 when a job did not end as it should, or when the demo could not be played."""
    parser = argparse.ArgumentParser(
        prog="python -m demo",
        description="Deploy this app to an engine of its own, run a few jobs, and tell how each ended. "
        "Leaves nothing running. Exits with 1 when a job did not end as it should.",
    )
    parser.add_argument("--json", dest="as_json", action="store_true", help="print one JSON array")
    as_json: bool = parser.parse_args(arguments).as_json
    progress = Progress()
    try:
        with processes.ending_cleanly():
            verdicts = play(Layout.find(), progress=progress, console=progress.console)
    except OffloadError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return _INTERRUPTED
    if as_json:
        print(json.dumps([verdict.describe() for verdict in verdicts], indent=2))
    else:
        console = Console()
        print_verdicts(console if console.is_terminal else Console(width=_WIDTH), verdicts)
    return int(not all(verdict.ok for verdict in verdicts))


if __name__ == "__main__":
    sys.exit(main())
