"""Faults in claiming a job, in releasing a claim, and in the lease."""

from __future__ import annotations

from offload.core.jobs import claiming
from offload.core.jobs.claiming import AlreadyClaimed, Cancel, Claim, Wait
from offload.core.jobs.record import NOT_STARTED
from offload.core.jobs.state import State
from offload.core.messages.delivery import Delivery
from offload.core.messages.message import Message
from offload.core.writes import Test
from offload.runtime.batch import _Batch
from offload.runtime.claims import Claims
from offload.runtime.invocation import Invocation
from offload.runtime.outcomes import Postponed
from tests.simulation.edits import Code, always, compare, drop, put
from tests.simulation.planting import Mutant
from tests.simulation.selecting import argument, attribute, branch, call, condition, entry, statement

MUTANTS = (
    Mutant(
        "claim: a job that succeeded is claimed again",
        claiming.claim,
        put(NOT_STARTED, (*NOT_STARTED, (Test("state", "=", State.SUCCEEDED.value),))),
    ),
    Mutant("claim: a retry does not wait for its time", claiming.claim, drop(condition("next_at"))),
    Mutant("claim: the lease of a running job counts for nothing", claiming._resolve_running, drop(branch(doing=Wait))),
    Mutant("claim: two attempts are charged", claiming.claim, put(entry("attempt"), 2)),
    Mutant("claim: a redriven job keeps its attempts", claiming._claim_redriven, drop(entry("attempt"))),
    Mutant("claim: its own claim is not known again", claiming._resolve_running, drop(branch(doing=AlreadyClaimed))),
    Mutant(
        "claim: each pass over a batch claims under a lease of its own",
        Invocation.lease_for,
        always(branch()),
    ),
    Mutant(
        "claim: the job that killed a worker does not run last",
        claiming._resolve_running,
        put(argument(Claim, "after_crash"), False, times=2),
    ),
    Mutant("claim: a worker's death leaves one attempt too many", claiming._resolve_running, compare(">=", ">")),
    Mutant(
        "claim: a cancel dies with the worker that was asked", claiming._resolve_running, drop(branch(doing=Cancel))
    ),
    Mutant(
        "claim: the message of a failed job is dropped",
        claiming.resolve_conflict,
        drop(branch(doing=claiming._resolve_failed)),
    ),
    Mutant(
        "claim: a message that replaces the failed one counts as redriven",
        Delivery.message_ids,
        drop(attribute(Message, "replaces")),
        tests="tests/runtime/test_taken_ids.py",
    ),
    Mutant(
        "claim: nobody notes that the failed message was replaced",
        claiming._resolve_failed,
        put(call(claiming.note_replacement), None),
    ),
    Mutant(
        "claim: a dead worker's job is claimed whatever lease it has",
        claiming._resolve_running,
        drop(condition("lease")),
    ),
    Mutant("claim: a postponed message is acknowledged", _Batch.handle_record, drop(branch(on=Postponed))),
    Mutant(
        "release: another worker's claim is released",
        claiming.release_claim,
        drop(condition("lease")),
    ),
    Mutant("release: the attempt stays charged", claiming.release_claim, put(entry("attempt"), 0)),
    Mutant(
        "release: a claim without an answer stays in force",
        Claims.claim,
        drop(statement(Claims.release)),
        tests="tests/runtime/test_unanswered_claims.py",
    ),
    Mutant(
        "lease: it ends in the middle of the invocation", Claims.claim, put(Invocation.remaining_ms, Code("_ // 20"))
    ),
)
