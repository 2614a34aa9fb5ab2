"""One simulation: a plan carried out and judged; and how a plan that breaks something is made small."""

from __future__ import annotations

import hashlib
import re
import time
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from unittest.mock import patch

from offload.core.clock import iso
from offload.core.errors import OffloadError
from offload.testing import Faults, Pipeline
from tests.simulation.invariants import Violation, Watcher
from tests.simulation.tasks import TASKS
from tests.simulation.workload import Outside

if TYPE_CHECKING:
    from collections.abc import Iterator

    from offload.testing.trace import TraceEntry
    from tests.simulation.plan import Plan


_MOST_STEPS = 5_000
"""Five times what a plan takes; one that does not come to rest is known by then."""

_MOST_LATE_MS = 30 * 3_600_000
"""A message whose copies all fail is hidden for ten hours, perhaps twice. In plans that last, waits are longer."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a plan.

    Attributes:
        plan: The plan.
        jobs: Number of job records.
        faults: Number of faults that happened.
        violations: Broken invariants.
        entries: Everything that happened.
    """

    plan: Plan
    jobs: int
    faults: int
    violations: list[Violation]
    entries: list[TraceEntry] = field(repr=False)

    @property
    def digest(self) -> str:
        """A hash of everything that happened."""
        return hashlib.sha256("\n".join(map(str, self.entries)).encode()).hexdigest()

    def trace(self, job_id: str) -> Iterator[str]:
        """Yield what happened around one job, a line each; what only repeats itself is counted."""
        involved = {note.process for note in self.entries if note.process and job_id in str(note)}
        happened = [
            note
            for note in self.entries
            if job_id in str(note) or (note.kind in ("fault", "killed", "invoke") and note.process in involved)
        ]
        return _folded(happened)


START = datetime(2026, 1, 1, tzinfo=UTC)
"""One seed is one run on every day: objects of the bucket end at midnight."""


def simulate(plan: Plan) -> Outcome:
    """Carry out a plan and judge it: until rest, then once more after the AWS console redrove every dead letter."""
    pipeline = Pipeline(*TASKS, faults=plan.faults, seed=plan.seed, start=START)
    pipeline.expect_dead_letters()
    pipeline.most_steps = _MOST_STEPS
    pipeline.trace = deque()  # the judge looks at all of it
    watcher, outside = Watcher(pipeline), Outside(pipeline)
    if not any(operation.kind in ("stall", "outage") for operation in plan.operations):
        watcher.most_late_ms = _MOST_LATE_MS
    assert pipeline.injector is not None
    with patch.object(time, "sleep", pipeline.clock.sleep), pipeline:
        with _told(watcher):
            outside.begin(plan)
            pipeline.advance(plan.horizon)
            pipeline.run_until_idle()
            pipeline.advance(plan.pause)
            watcher.redriven()
            for task in pipeline.manifest.tasks:
                for lane in pipeline.manifest.lanes(task):
                    pipeline.redrive(task, lane)
            pipeline.run_until_idle()
        with _told(watcher):
            watcher.judge(outside.book)
    jobs = sum("state" in item for item in pipeline.store.port.items())
    return Outcome(plan, jobs, pipeline.injector.happened, watcher.violations, list(pipeline.trace))


@contextmanager
def _told(watcher: Watcher) -> Iterator[None]:
    """Take for a violation what cannot go on: no rest, a worker's own fault, an error that no fault explains."""
    try:
        yield
    except (AssertionError, OffloadError) as error:
        watcher.violations.append(Violation("I1 nothing lost", "-", f"{error} {error.__cause__!r}"))


def shrink(outcome: Outcome, *, most: int = 300) -> Outcome:
    """Return the smallest plan found that breaks the same invariant: fewer operations, fewer kinds of faults."""
    name, best, left = outcome.violations[0].name, outcome, most
    smaller = True
    while smaller and left > 0:
        smaller = False
        for plan in _smaller(best.plan):
            left -= 1
            tried = simulate(plan)
            if any(violation.name == name for violation in tried.violations):
                best, smaller = tried, True
                break
            if left <= 0:
                break
    return best


def _folded(trace: list[TraceEntry]) -> Iterator[str]:
    alike = [re.sub(r"[0-9]+", "#", f"{note.kind} {note.text}") for note in trace]
    at = 0
    while at < len(trace):
        repeated = [(size, times) for size in range(1, 9) if (times := _repeats(alike, at, size)) > 1]
        size, times = max(repeated, key=lambda one: one[0] * one[1], default=(1, 1))
        yield from map(str, trace[at : at + size])
        at += size * times
        if times > 1:
            yield f"... the last {size} {times - 1} times more, until {iso(trace[at - 1].at)[11:23]}"


def _repeats(alike: list[str], at: int, size: int) -> int:
    block, times = alike[at : at + size], 1
    while alike[at + size * times : at + size * (times + 1)] == block:
        times += 1
    return times


def _smaller(plan: Plan) -> Iterator[Plan]:
    operations = plan.operations
    size = len(operations) // 2
    while size:
        for start in range(0, len(operations), size):
            yield replace(plan, operations=operations[:start] + operations[start + size :])
        size //= 2
    still = Faults.none()
    for item in fields(Faults):
        if item.name not in ("seed", "deaths") and getattr(plan.faults, item.name) != getattr(still, item.name):
            yield replace(plan, faults=replace(plan.faults, **{item.name: getattr(still, item.name)}))
