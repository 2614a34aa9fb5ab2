"""The command line: a thin face over client and operate."""

from __future__ import annotations

import sys


def run() -> None:
    """Run `offload`, or say what it needs where the library was installed for producers only."""
    try:
        from offload.cli import main
    except ModuleNotFoundError as missing:
        if missing.name not in ("click", "rich"):
            raise
        sys.exit("offload: the command line is an extra: pip install 'offload[cli]'")
    main.run()
