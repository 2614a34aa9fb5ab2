"""The command line. It contains no logic of its own: each command calls `client`, `operate` or `local`."""

from __future__ import annotations

import sys


def run() -> None:
    """Run `offload`, or name the missing extra when the library was installed without the command line."""
    try:
        from offload.cli import main
    except ModuleNotFoundError as missing:
        if missing.name not in ("click", "rich"):
            raise
        sys.exit("offload: the command line is an extra: pip install 'offload[cli]'")
    main.run()
