"""Hunt for broken invariants: random workloads under random faults, each replayable from its seed.

Prints `seeds=N jobs=N faults=N violations=N`. Exits 1 when an invariant broke, with the seed, the smallest plan found
that still breaks it, and what happened around the job.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING

from tests.simulation.simulation import Outcome, shrink, simulate
from tests.simulation.workload import draw

if TYPE_CHECKING:
    from collections.abc import Iterable

_CHUNK = 20
_LONGEST_TRACE = 200


def hunt(seeds: range) -> tuple[int, int, list[int]]:
    """Simulate some seeds; returns the number of jobs, the number of faults, and the seeds that broke something."""
    logging.disable(logging.CRITICAL)
    jobs = faults = 0
    broken: list[int] = []
    for seed in seeds:
        outcome = simulate(draw(seed))
        jobs += outcome.jobs
        faults += outcome.faults
        if outcome.violations:
            broken.append(seed)
    return jobs, faults, broken


def replay(seed: int, *, small: bool = True) -> Outcome:
    """Simulate one seed and print what broke."""
    logging.disable(logging.CRITICAL)
    outcome = simulate(draw(seed))
    print(f"seed={seed} operations={len(outcome.plan.operations)} jobs={outcome.jobs} faults={outcome.faults}")
    for violation in outcome.violations:
        print(f"  violation {violation}")
    if outcome.violations and small:
        least = shrink(outcome)
        print(f"the smallest plan found: {least.plan.faults}")
        for operation in least.plan.operations:
            print(f"  {operation}")
        first = least.violations[0]
        print(f"what happened around {first.job_id} ({first.name}: {first.how}):")
        for line in list(least.trace(first.job_id))[-_LONGEST_TRACE:]:
            print(f"  {line}")
    return outcome


def stop_at_first(seeds: range) -> int:
    """Simulate until something breaks and say what, in one line for a program to read; returns the exit code."""
    logging.disable(logging.CRITICAL)
    for seed in seeds:
        for violation in simulate(draw(seed)).violations:
            print(f"broken seed={seed} {violation}")
            return 1
    return 0


def main(arguments: list[str]) -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="make simulate", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=2000, help="how many seeds (SEEDS=)")
    parser.add_argument("--start", type=int, default=0, help="the first of them (START=)")
    parser.add_argument("--seed", type=int, help="replay this one alone, and print what happened (SEED=)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at once")
    parser.add_argument("--stop", action="store_true", help="stop at the first broken seed and print it, nothing else")
    given = parser.parse_args(arguments)
    if given.seed is not None:
        return 1 if replay(given.seed).violations else 0
    if given.stop:
        return stop_at_first(range(given.start, given.start + given.seeds))
    began = time.monotonic()
    jobs = faults = done = 0
    broken: list[int] = []
    ends = given.start + given.seeds
    chunks = [range(first, min(first + _CHUNK, ends)) for first in range(given.start, ends, _CHUNK)]
    with ProcessPoolExecutor(given.jobs) as pool:
        for chunk, (more_jobs, more_faults, more_broken) in zip(chunks, pool.map(hunt, chunks), strict=True):
            jobs, faults, done = jobs + more_jobs, faults + more_faults, done + len(chunk)
            broken += more_broken
            _say(f"{done} of {given.seeds} seeds, {len(broken)} broken")
    _say("")
    print(f"seeds={done} jobs={jobs} faults={faults} violations={len(broken)} ({time.monotonic() - began:.0f} s)")
    for seed in broken[:1]:
        replay(seed)
    if broken:
        print(f"broken seeds: {_listed(broken)}; replay one with: make simulate SEED={broken[0]}")
    return 1 if broken else 0


def _listed(seeds: Iterable[int]) -> str:
    text = [str(seed) for seed in seeds]
    return ", ".join(text[:20]) + (" ..." if len(text) > 20 else "")


def _say(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
