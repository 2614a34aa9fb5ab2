"""Faults in how long a record lives, in rate limits, and in the table of states."""

from __future__ import annotations

from offload.core.flow import line, rate_limit
from offload.core.jobs import record, state
from offload.core.jobs.accepting import accept
from offload.core.jobs.state import State
from offload.core.writes import Write
from offload.runtime.claims import Claims
from offload.runtime.outcomes import Postponed
from offload.runtime.rate_limiter import take_slot
from tests.simulation.edits import Code, both, drop, put, within
from tests.simulation.planting import Mutant
from tests.simulation.selecting import argument, branch, call, entry, returned

_HOUR_MS = 3_600_000

MUTANTS = (
    Mutant(
        "life: a record lives an hour",
        record.record_ttl,
        both(put(record.RECORD_DAYS, 1), put(record.DAY_MS, _HOUR_MS)),
    ),
    Mutant(
        "life: the record of a delayed job does not outlive the delay",
        accept,
        put(call(max), Code("_0")),
        tests="tests/runtime/test_cancelling.py",
    ),
    Mutant(
        "rate limit: a taken slot is given again",
        rate_limit._interval,
        put(returned(), 0),
        tests="tests/runtime/test_rate_limit.py",
    ),
    Mutant(
        "rate limit: a slot far ahead is taken although nobody can sleep until then",
        take_slot,
        put(call(min), 10**9),
        tests="tests/runtime/test_rate_limit.py",
    ),
    Mutant(
        "rate limit: a new job passes those that wait",
        rate_limit.next_step,
        put(rate_limit.HORIZON_MS, 10**12, times=2),
        tests="tests/runtime/test_rate_limit.py",
    ),
    Mutant(
        "rate limit: a job joins the line again each time it comes back",
        line.Standing.read,
        both(put("place_at", "place"), put("line_number", "number")),
        tests="tests/runtime/test_rate_limit.py",
    ),
    Mutant(
        "rate limit: where a job stands is noted over what changed meanwhile",
        line.note_standing,
        drop(argument(Write, "when")),
        tests="tests/runtime/test_rate_limit.py",
    ),
    Mutant(
        "rate limit: a job that is cancelled stays in the line",
        line.leave_line,
        put(argument(Write, "add"), {}),
        tests="tests/runtime/test_rate_limit.py",
    ),
    Mutant(
        "rate limit: who looks again sees that nobody has left",
        line.waiting,
        put("left", "gone"),
        tests="tests/runtime/test_rate_limit.py",
    ),
    Mutant(
        "rate limit: each job that joins a long line writes the limit's item",
        line.weight,
        put(returned(), 1),
        tests="tests/runtime/test_rate_limit_workers.py",
    ),
    Mutant(
        "rate limit: a job that is counted for many counts for one",
        rate_limit._join,
        put(entry("joined"), 1),
        tests="tests/runtime/test_rate_limit_workers.py",
    ),
    Mutant(
        "rate limit: a changed rate moves nothing",
        rate_limit.next_step,
        drop(branch(doing=rate_limit.Recount)),
        tests="tests/core/flow",
    ),
    Mutant(
        "rate limit: a job that waits in the line does not expire before its place",
        line.before_expiry,
        put(call(min), Code("_0")),
        tests="tests/runtime/test_rate_limit.py",
    ),
    Mutant(
        "life: the record of a job in a line does not outlive its wait",
        line.note_standing,
        put(call(max), Code("_0")),
        tests="tests/core/flow",
    ),
    Mutant(
        "rate limit: the job of a dead worker takes two slots for one start",
        Claims._wait_for_slot,
        drop(branch(doing=Postponed)),
        tests="tests/runtime/test_rate_limit.py",
    ),
    Mutant(
        "states: the table forgets the retry by hand",
        state,
        within(entry(State.FAILED, State.PENDING), drop(entry(State.PENDING))),
    ),
)
