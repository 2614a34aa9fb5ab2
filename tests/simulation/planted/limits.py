"""Faults in how long a record lives, in rate limits, and in the table of states."""

from __future__ import annotations

from offload.core.flow import rate_limit
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
        put(rate_limit.HORIZON_MS, 10**12),
        tests="tests/runtime/test_rate_limit.py",
    ),
    Mutant(
        "rate limit: a job joins the line again each time it comes back",
        take_slot,
        put("place_at", "place"),
        tests="tests/runtime/test_rate_limit.py",
    ),
    Mutant(
        "rate limit: a place is noted over what changed meanwhile",
        rate_limit.note_place,
        drop(argument(Write, "when")),
        tests="tests/runtime/test_rate_limit.py",
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
