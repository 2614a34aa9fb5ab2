"""Faults in what lasts: payloads that wait, waits of days, results, and what a redrive begins anew."""

from __future__ import annotations

from offload.core import retention
from offload.core.jobs import claiming, ending
from offload.core.jobs.record import record_ttl
from offload.core.messages import waiting
from offload.core.tasks import retry_policy
from offload.core.tasks.retry_policy import Retry
from offload.runtime.copies import Copies
from offload.runtime.payloads import read_payload
from tests.simulation.edits import Code, drop, put
from tests.simulation.planting import Mutant
from tests.simulation.selecting import argument, call, condition, entry, returned

_PAYLOADS = (
    Mutant(
        "renew: an old payload is not written again",
        read_payload,
        put(call(retention.is_old_payload), False),
        tests="tests/runtime/test_old_payloads.py",
    ),
    Mutant(
        "renew: a payload that is to wait long stays where it is deleted",
        Copies.send_at,
        put(call(retention.is_old_payload), False),
    ),
    Mutant(
        "renew: a payload lives for the delay, and not for the queues after it",
        retention.payload_key,
        put(retention._REDRIVEN_DAYS, -60),
    ),
    Mutant(
        "renew: the payload of a copy is kept as if it waited for nothing",
        Copies._put,
        put(argument(retention.payload_key, 2), 0),
    ),
)

_WAITS = (
    Mutant(
        "wait: a timer comes two days late",
        waiting.way_to_wait,
        put(waiting.TIMER_LATENESS, -2 * retention.DAY, times=2),
    ),
    Mutant(
        "wait: weeks are waited for in quarters of an hour",
        waiting.way_to_wait,
        put(call(waiting.SetTimer), Code("SendCopy(900)")),
    ),
    Mutant(
        "wait: a message that no copy could replace comes back at once",
        waiting.without_copy,
        put(returned(), Code("Hide(1)")),
    ),
    Mutant("retry: what a run asks for is not heeded", Retry.decide, put(call(retry_policy._delay), None)),
)

_JOBS = (
    Mutant("claim: a redriven job is still asked to stop", claiming._claim_redriven, put("cancel_requested_at", "x")),
    Mutant(
        "claim: a redriven job keeps the follow-up of its end before", claiming._claim_redriven, put("follow_up", "x")
    ),
    Mutant("claim: an attempt may start a minute early", claiming.claim, put(claiming.EARLY_MS, 60_000)),
    Mutant(
        "claim: the record lives a day from then", claiming._claim, put(call(record_ttl), Code("_0 // 1000 + 86_400"))
    ),
    Mutant("claim: the attempt of a dead worker is not counted", claiming._resolve_running, put(entry("attempt"), 0)),
    Mutant("end: a success keeps the error of the attempt before", ending.end_succeeded, put("error", "x")),
    Mutant("end: the result is over at once", ending.end_succeeded, put(entry("result_until"), 0)),
    Mutant("end: the record dies before the result", ending.end_succeeded, put(call(max), Code("_0"))),
    Mutant(
        "reject: a misfit ends a job while its worker lives",
        ending.end_rejected,
        drop(condition("lease_until")),
        tests="tests/core/jobs",
    ),
)

MUTANTS = (*_PAYLOADS, *_WAITS, *_JOBS)
