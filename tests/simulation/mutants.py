"""Prove that the tests test: plant one fault after another in a copy of the library, and see each one caught.

The simulator goes first, then the tests of the library; a fault that only a test sees names the folder of the test.
Prints a table of the faults and of what caught them, then who saw how many in which area. Exits 1 when a fault
survives, or when the simulator alone sees too few. A copy without any fault must pass, or being caught would mean
nothing.
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

from tests.simulation.planted import MUTANTS
from tests.simulation.planting import LIBRARY, Mutant, Unusable, plant

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
_BROKEN = re.compile(r"^broken seed=(\d+) (\w+)", re.MULTILINE)
_FAILED = re.compile(r"^FAILED (\S+?::.+?)(?: - .*)?$", re.MULTILINE)
AREAS = {
    "claiming": ("claim", "release", "lease"),
    "ending": ("end", "reject", "progress", "retry", "message", "expire", "index"),
    "keys": ("key",),
    "following": ("follow-up",),
    "returns": ("return", "wait", "dead letter"),
    "renewal": ("replace", "renew"),
    "redriving": ("redrive", "retry by hand"),
    "the client": ("enqueue", "bulk", "options", "producer", "by name", "waiting", "cancel"),
}
"""Areas of the protocol, by how the names of their faults begin."""

LEAST_SEEN = 0.7
"""Share of the faults in all areas that the simulator alone must see."""

_LONGEST = 900
"""Seconds a run may take, far more than any needs. A run that takes longer proves nothing, so its fault survives."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a mutant.

    Attributes:
        mutant: The mutant; None stands for a copy without any fault.
        caught: What caught it; None: nothing.
        seconds: How long that took.
    """

    mutant: Mutant | None
    caught: str | None
    seconds: float

    @property
    def name(self) -> str:
        """What a person calls the mutant."""
        return self.mutant.name if self.mutant else "(no fault)"

    @property
    def area(self) -> str:
        """The area of the protocol that the fault is in; "elsewhere" for none."""
        kind = self.name.partition(":")[0]
        return next((area for area, kinds in AREAS.items() if kind in kinds), "elsewhere")

    @property
    def seen(self) -> bool:
        """Whether the simulator alone has caught it."""
        return (self.caught or "").startswith("simulator ")


def examine(mutant: Mutant | None, *, seeds: int, everything: bool = False) -> Verdict:
    """Plant a fault in a copy of its own and see what catches it.

    Args:
        mutant: The fault; None plants none.
        seeds: How many the simulator tries.
        everything: Also ask the simulator about what is known to be out of its sight.
    """
    began = time.monotonic()
    name, tests = (mutant.name, mutant.tests) if mutant else ("(no fault)", "")
    with TemporaryDirectory(prefix="mutant-") as folder:
        copy = Path(folder)
        _copy_to(copy)
        if mutant is not None:
            (copy / "shared" / "offload" / mutant.file).write_text(plant(mutant), encoding="utf-8")
        caught = None
        if everything or not tests:
            caught = _simulator(copy, name, seeds)
        if caught is None:
            caught = _tests(copy, name, (tests,) if tests else TESTS)
    return Verdict(mutant, caught, time.monotonic() - began)


def _copy_to(copy: Path) -> None:
    for name in _COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy / name)


def _simulator(copy: Path, name: str, seeds: int) -> str | None:
    done = _python(copy, "-m", "tests.simulation", "--stop", "--seeds", str(seeds))
    if done is None or done.returncode == 0:
        return None
    found = _BROKEN.search(done.stdout)
    if found is None:
        raise Unusable(f"{name!r}: the simulator itself broke:\n{done.stdout}{done.stderr}"[-3000:])
    return f"simulator {found[2]} seed {found[1]}"


def _tests(copy: Path, name: str, tests: Sequence[str]) -> str | None:
    no_proof: list[str] = []
    while True:
        failed = _first_failure(copy, name, [*_NOT_ASKED, *no_proof, *tests])
        if failed is None:
            return None
        fails_again = _first_failure(copy, name, [failed]) is not None
        if fails_again and _first_failure(ROOT, name, [failed]) is None:
            return failed.partition("::")[2].partition("[")[0]
        # It failed by chance, or on a busy machine, or it fails without the fault too.
        no_proof.append(f"--deselect={failed}")


def _first_failure(folder: Path, name: str, which: Sequence[str]) -> str | None:
    done = _python(folder, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *which)
    if done is None or done.returncode == 0:
        return None
    found = _FAILED.search(done.stdout)
    if done.returncode != 1 or found is None:
        raise Unusable(f"{name!r}: pytest did not get to its tests:\n{done.stdout}{done.stderr}"[-3000:])
    return found[1]


def _python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str] | None:
    """Run Python on a copy, or on the repository itself; None when it did not end."""
    settings = {
        "PYTHONPATH": f"{folder / 'shared'}{os.pathsep}{folder}",
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    try:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=folder,
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
    if LIBRARY != ROOT / "shared" / "offload":
        parser.error(f"the faults are planted in {ROOT / 'shared'}, but Python imports offload from {LIBRARY.parent}")
    try:
        for mutant in chosen:
            plant(mutant)
        verdicts = _examine_all(chosen if given.only else [None, *chosen], given)
    except Unusable as wrong:
        print(f"error: {wrong}", file=sys.stderr)
        return 1
    finally:
        _say("")
    return _sum_up(verdicts, whole=not given.only)


def _examine_all(mutants: Sequence[Mutant | None], given: argparse.Namespace) -> list[Verdict]:
    verdicts: list[Verdict] = []
    pool = ThreadPoolExecutor(given.jobs)
    try:
        _say(f"0 of {len(mutants)}")
        for verdict in pool.map(lambda each: examine(each, seeds=given.seeds, everything=given.all), mutants):
            verdicts.append(verdict)
            _say("")
            print(_row(verdict), flush=True)
            _say(f"{len(verdicts)} of {len(mutants)}")
            if verdict.mutant is None and verdict.caught:
                raise Unusable(f"without any fault {verdict.caught} fails; nothing can be proved until it passes")
    finally:
        pool.shutdown(cancel_futures=True)
    return verdicts


def _row(verdict: Verdict) -> str:
    caught = verdict.caught or ("SURVIVES" if verdict.mutant else "passes")
    cells = (verdict.name, verdict.mutant.file if verdict.mutant else "", caught, f"{verdict.seconds:.0f}")
    if not sys.stdout.isatty():
        return "\t".join(cells)
    widths = (max(len(each.name) for each in MUTANTS), max(len(each.file) for each in MUTANTS), 0, 0)
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))


def _sum_up(verdicts: list[Verdict], *, whole: bool) -> int:
    """Print who saw what, by area; returns the exit code. Of some faults alone, no share is asked for."""
    mutants = [verdict for verdict in verdicts if verdict.mutant is not None]
    survivors = [verdict.name for verdict in mutants if verdict.caught is None]
    for area in (*AREAS, "elsewhere"):
        print(_share(area, [verdict for verdict in mutants if verdict.area == area]))
    judged = [verdict for verdict in mutants if verdict.area != "elsewhere"]
    print(_share("the protocol", judged))
    simulator = sum(verdict.seen for verdict in mutants)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        f"mutants={len(mutants)} simulator={simulator} tests={len(mutants) - simulator - len(survivors)} "
        f"survivors={len(survivors)} ({used.ru_utime + used.ru_stime:.0f} s of CPU)"
    )
    for name in survivors:
        print(f"survived: {name}")
    too_few = whole and sum(verdict.seen for verdict in judged) < LEAST_SEEN * len(judged)
    if too_few:
        print(f"error: the simulator alone sees less than {LEAST_SEEN:.0%} of the faults in the protocol")
    return 1 if survivors or too_few else 0


def _share(area: str, verdicts: list[Verdict]) -> str:
    seen = sum(verdict.seen for verdict in verdicts)
    share = f" ({seen / len(verdicts):.0%})" if verdicts else ""
    return f"{area:14} simulator {seen} of {len(verdicts)}{share}"


def _say(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
