"""Prove that the tests test: plant one fault after another in a copy of the library, and see each one caught.

The simulator goes first, then the tests of the library; a fault that only a test sees names the test. Prints a table of
the faults and of what caught them, and exits 1 when one survives. A copy without any fault must pass, or being caught
would mean nothing.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from tests.simulation.planted import MUTANTS, Mutant

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[2]
_COPIED = ("shared/offload", "functions", "tests", "docs", "pyproject.toml")
TESTS = ("tests/core", "tests/client", "tests/runtime", "tests/operate", "tests/testing")
_NOT_ASKED = (
    # They go by the machine's own clock, which a busy machine cannot promise anything about.
    "--ignore=tests/runtime/test_exits.py",
    # It judges the spread of its own random bodies, which moves with every constant of the library.
    "--deselect=tests/runtime/test_contract_bodies.py::test_of_any_bodies_none_is_lost",
    # A project of its own with a thousand seeds: the simulator again, only slower.
    "--deselect=tests/testing/test_docs.py::test_the_examples_pass_as_they_stand",
)
CONTROL = Mutant("(no fault)", "core/claiming.py", "", "")
_BROKEN = re.compile(r"^broken seed=(\d+) (I\d+)", re.MULTILINE)
_FAILED = re.compile(r"^FAILED (\S+?::.+?)(?: - .*)?$", re.MULTILINE)
_LONGEST = 900
"""Seconds a run may take, far more than any needs. A run that takes longer proves nothing, so its fault survives."""


class Unusable(Exception):
    """A mutant that is none: it does not apply, or what it makes does not even start."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a mutant: what caught it (None: nothing), and the seconds that took."""

    mutant: Mutant
    caught: str | None
    seconds: float


def planted(mutant: Mutant, root: Path = ROOT) -> str:
    """Return the text of the mutant's file with its fault in it.

    Raises:
        Unusable: The text it replaces does not occur exactly once.
    """
    text = (root / "shared" / "offload" / mutant.file).read_text(encoding="utf-8")
    if (times := text.count(mutant.old)) != 1:
        raise Unusable(f"{mutant.name!r} does not apply: its text occurs {times} times in {mutant.file}, not once")
    return text.replace(mutant.old, mutant.new)


def examine(mutant: Mutant, *, seeds: int, everything: bool = False) -> Verdict:
    """Plant a fault in a copy of its own and see what catches it.

    Args:
        mutant: The fault.
        seeds: How many the simulator tries.
        everything: Also ask the simulator about what is known to be out of its sight.
    """
    began = time.monotonic()
    with TemporaryDirectory(prefix="mutant-") as folder:
        copy = Path(folder)
        _copy_to(copy)
        if mutant is not CONTROL:
            (copy / "shared" / "offload" / mutant.file).write_text(planted(mutant), encoding="utf-8")
        caught = None
        if everything or not mutant.tests:
            caught = _simulator(copy, mutant, seeds)
        if caught is None:
            caught = _tests(copy, mutant, (mutant.tests,) if mutant.tests else TESTS)
    return Verdict(mutant, caught, time.monotonic() - began)


def _copy_to(copy: Path) -> None:
    for name in _COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy / name)


def _simulator(copy: Path, mutant: Mutant, seeds: int) -> str | None:
    done = _python(copy, "-m", "tests.simulation", "--stop", "--seeds", str(seeds))
    if done is None or done.returncode == 0:
        return None
    found = _BROKEN.search(done.stdout)
    if found is None:
        raise Unusable(f"{mutant.name!r}: the simulator itself broke:\n{done.stdout}{done.stderr}"[-3000:])
    return f"simulator {found[2]} seed {found[1]}"


def _tests(copy: Path, mutant: Mutant, tests: Sequence[str]) -> str | None:
    flaky: list[str] = []
    while True:
        failed = _first_failure(copy, mutant, [*_NOT_ASKED, *flaky, *tests])
        if failed is None:
            return None
        if _first_failure(copy, mutant, [failed]) is not None:
            return failed.partition("::")[2].partition("[")[0]
        flaky.append(f"--deselect={failed}")  # it failed for another reason: by chance, or on a busy machine


def _first_failure(copy: Path, mutant: Mutant, which: Sequence[str]) -> str | None:
    done = _python(copy, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *which)
    if done is None or done.returncode == 0:
        return None
    found = _FAILED.search(done.stdout)
    if done.returncode != 1 or found is None:
        raise Unusable(f"{mutant.name!r}: pytest did not get to its tests:\n{done.stdout}{done.stderr}"[-3000:])
    return found[1]


def _python(copy: Path, *arguments: str) -> subprocess.CompletedProcess[str] | None:
    """Run Python on a copy; None when it did not end."""
    settings = {
        "PYTHONPATH": f"{copy / 'shared'}{os.pathsep}{copy}",
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    try:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=copy,
            env=os.environ | settings,
            capture_output=True,
            text=True,
            timeout=_LONGEST,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None


def main(arguments: list[str]) -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="make mutants", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", default="", help="those whose name or file has this in it, without the control")
    parser.add_argument("--seeds", type=int, default=250, help="how many seeds the simulator tries on each")
    parser.add_argument("--all", action="store_true", help="let the simulator try also what is not in its sight")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="mutants at once")
    given = parser.parse_args(arguments)
    chosen = [mutant for mutant in MUTANTS if given.only in mutant.name or given.only in mutant.file]
    if not chosen:
        parser.error(f"no mutant has {given.only!r} in its name or file")
    try:
        for mutant in chosen:
            planted(mutant)
        verdicts = _examine_all(chosen if given.only else [CONTROL, *chosen], given)
    except Unusable as wrong:
        print(f"error: {wrong}", file=sys.stderr)
        return 1
    finally:
        _say("")
    return _sum_up(verdicts)


def _examine_all(mutants: Sequence[Mutant], given: argparse.Namespace) -> list[Verdict]:
    verdicts: list[Verdict] = []
    pool = ThreadPoolExecutor(given.jobs)
    try:
        _say(f"0 of {len(mutants)}")
        for verdict in pool.map(lambda each: examine(each, seeds=given.seeds, everything=given.all), mutants):
            verdicts.append(verdict)
            _say("")
            print(_row(verdict), flush=True)
            _say(f"{len(verdicts)} of {len(mutants)}")
            if verdict.mutant is CONTROL and verdict.caught:
                raise Unusable(f"without any fault {verdict.caught} fails; nothing can be proved until it passes")
    finally:
        pool.shutdown(cancel_futures=True)
    return verdicts


def _row(verdict: Verdict) -> str:
    mutant = verdict.mutant
    caught = verdict.caught or ("passes" if mutant is CONTROL else "SURVIVES")
    cells = (mutant.name, "" if mutant is CONTROL else mutant.file, caught, f"{verdict.seconds:.0f}")
    if not sys.stdout.isatty():
        return "\t".join(cells)
    widths = (max(len(each.name) for each in MUTANTS), max(len(each.file) for each in MUTANTS), 0, 0)
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))


def _sum_up(verdicts: list[Verdict]) -> int:
    mutants = [verdict for verdict in verdicts if verdict.mutant is not CONTROL]
    survivors = [verdict.mutant.name for verdict in mutants if verdict.caught is None]
    simulator = sum((verdict.caught or "").startswith("simulator ") for verdict in mutants)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        f"mutants={len(mutants)} simulator={simulator} tests={len(mutants) - simulator - len(survivors)} "
        f"survivors={len(survivors)} ({used.ru_utime + used.ru_stime:.0f} s of CPU)"
    )
    for name in survivors:
        print(f"survived: {name}")
    return 1 if survivors else 0


def _say(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
