"""`python -m benchmarks`: run, print the table, and with `--check` fail when a mark is missed."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from pathlib import Path

from benchmarks.figures import table
from benchmarks.run import run


def main() -> int:
    """Return 1 when `--check` was given and a mark was missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.partition("\n")[0])
    parser.add_argument("--imports", type=int, default=20, metavar="N", help="fresh processes of each side (20)")
    parser.add_argument("--batches", type=int, default=40, metavar="N", help="batches of ten of each side (40)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="rounds of 200 jobs of each side (5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too; - prints them instead")
    parser.add_argument("--check", action="store_true", help="exit 1 when a mark is missed")
    given = parser.parse_args()
    figures = run(
        imports=given.imports,
        batches=given.batches,
        rounds=given.rounds,
        note=lambda text: print(f"{text} ...", file=sys.stderr),
    )
    machine = f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}"
    if given.json is not None:
        text = json.dumps({"machine": machine, "figures": [figure.describe() for figure in figures]}, indent=1)
        if str(given.json) == "-":
            print(text)
        else:
            given.json.write_text(text + "\n")
    if str(given.json) != "-":
        print(f"{machine}; minimum / **median** / maximum of n, in turns\n\n{table(figures)}")
    return int(given.check and any(figure.missed for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
