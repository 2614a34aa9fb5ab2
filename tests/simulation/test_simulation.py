"""The simulator itself: a seed is one run, a broken invariant is found, named and made small."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from offload.core.jobs import claiming
from offload.core.writes import Test
from offload.testing import Faults
from tests.simulation import __main__ as command
from tests.simulation.plan import Operation, Plan
from tests.simulation.simulation import shrink, simulate
from tests.simulation.workload import draw

ROOT = Path(__file__).parents[2]


@pytest.fixture
def _ended_jobs_run_again(monkeypatch):
    """Break a guarantee: a copy of a job that has ended well is run again."""
    succeeded = (Test("state", "=", "SUCCEEDED"),)
    monkeypatch.setattr(claiming, "NOT_STARTED", (*claiming.NOT_STARTED, succeeded))


def digest_elsewhere(seed: int, hash_seed: str) -> str:
    code = f"from tests.simulation import __main__ as m; print(m.replay({seed}).digest)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": f"{ROOT / 'shared'}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()[-1]


def test_a_seed_replays_exactly_in_any_process():
    here = simulate(draw(11))
    assert here.faults > 0
    assert simulate(draw(11)).digest == here.digest
    assert digest_elsewhere(11, "1") == digest_elsewhere(11, "2") == here.digest
    assert simulate(draw(12)).digest != here.digest


def test_some_seeds_hold(capsys):
    assert command.main(["--seeds", "60", "--start", "500", "--jobs", "1"]) == 0
    assert capsys.readouterr().out.startswith("seeds=60 jobs=")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # a fork of this process, which has no threads of its own
@pytest.mark.usefixtures("_ended_jobs_run_again")
def test_a_broken_guarantee_is_found_named_and_made_small(capsys):
    assert command.main(["--seeds", "40", "--jobs", "1"]) == 1
    said = capsys.readouterr().out
    assert "violation I4 no second run" in said
    assert "the smallest plan found" in said
    assert "replay one with: make simulate SEED=" in said


@pytest.mark.usefixtures("_ended_jobs_run_again")
def test_the_smallest_plan_is_smaller():
    broken = next(outcome for outcome in map(simulate, map(draw, range(100))) if outcome.violations)
    small = shrink(broken, most=60)
    assert len(small.plan.operations) < len(broken.plan.operations)
    assert small.violations[0].name == broken.violations[0].name


def test_a_trace_counts_what_only_repeats_itself():
    """A message that can never run is received four times on its way to the dead-letter queue, and redriven as well."""
    outcome = simulate(Plan(0, Faults.none(), (Operation(1, "poison", {"task": "once", "body": "{}"}),)))
    invocations = [entry for entry in outcome.entries if entry.kind == "invoke"]
    (job_id,) = {entry.details[0][0] for entry in invocations if "-once#1 " in str(entry)}
    lines = list(outcome.trace(job_id))
    assert len(invocations) == 8
    assert len(lines) < 4 * len(invocations)
    assert any(line.startswith("... the last 3 ") for line in lines), lines
