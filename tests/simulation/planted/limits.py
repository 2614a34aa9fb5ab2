"""Faults in how long a record lives, in rate limits, and in the table of states."""

from __future__ import annotations

from offload.core.flow import rate_limit
from offload.core.jobs import record, state
from offload.core.jobs.accepting import accept
from offload.core.jobs.state import State
from offload.core.writes import Write
from offload.runtime.rate_limiter import slot_to_wait_for
from tests.simulation.edits import Code, both, drop, put, within
from tests.simulation.planting import Mutant
from tests.simulation.selecting import argument, call, entry

_HOUR_MS = 3_600_000

MUTANTS = (
    Mutant(
        "life: a record lives an hour",
        record.record_ttl,
        both(put(record.RECORD_LIFE_DAYS, 1), put(record.DAY_MS, _HOUR_MS)),
    ),
    Mutant(
        "life: the record of a delayed job does not outlive the delay",
        accept,
        put(call(max), Code("_0")),
        tests="tests/runtime",
    ),
    Mutant(
        "rate limit: a taken slot is given again",
        rate_limit.take_free_slot,
        drop(call(rate_limit._interval_ms)),
        tests="tests/runtime",
    ),
    Mutant(
        "rate limit: a job reserves another slot each time it comes back",
        slot_to_wait_for,
        put("start_slot_at", "slot"),
    ),
    Mutant(
        "rate limit: a slot is noted over what changed meanwhile",
        rate_limit.note_slot,
        drop(argument(Write, "when")),
        tests="tests/runtime",
    ),
    Mutant(
        "states: the table forgets the retry by hand",
        state,
        within(entry(State.FAILED, State.PENDING), drop(entry(State.PENDING))),
    ),
)
