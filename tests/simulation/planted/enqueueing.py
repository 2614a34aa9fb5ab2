"""Faults in enqueueing a job, and in idempotency keys."""

from __future__ import annotations

from offload.client.key_lookup import job_of_key
from offload.client.sender import Sender, SentMany
from offload.core.errors import OffloadError, Unavailable
from offload.core.jobs import idempotency_keys
from offload.core.jobs.accepting import accept
from offload.core.writes import Test, Write
from tests.simulation.edits import drop, move, put, within
from tests.simulation.planting import Mutant
from tests.simulation.selecting import (
    argument,
    attribute,
    branch,
    comparison,
    condition,
    go_on,
    handler,
    parameter,
    statement,
)

MUTANTS = (
    Mutant(
        "enqueue: the record goes before the message",
        Sender._send_message,
        move(statement(Sender._write_record), before=branch()),
    ),
    Mutant(
        "enqueue: failures within a batch are swallowed",
        Sender.send_many,
        within(branch(on=OffloadError), drop(statement(attribute(SentMany, "failures")))),
        tests="tests/client",
    ),
    Mutant(
        "enqueue: what failed within a batch is recorded all the same",
        Sender.send_many,
        within(branch(on=OffloadError), drop(go_on())),
        tests="tests/client",
    ),
    Mutant(
        "enqueue: a record that cannot be written fails a job that was sent",
        Sender._write_record,
        drop(handler(Unavailable)),
        tests="tests/client",
    ),
    Mutant("enqueue: the record replaces that of a faster worker", accept, drop(argument(Write, "when"))),
    Mutant(
        "key: a producer's death between key and message loses the job",
        job_of_key,
        put(comparison("in", "confirmed"), True),
    ),
    Mutant(
        "key: it is never confirmed",
        Sender._send_keyed,
        drop(statement(idempotency_keys.confirm_key)),
        tests="tests/client",
    ),
    Mutant("key: all tasks share it", idempotency_keys.key_item_id, put(parameter(0), ""), tests="tests/client"),
    Mutant(
        "key: whoever comes last has it",
        idempotency_keys.reserve_key,
        put(condition("until"), Test("until", "present")),
    ),
    Mutant(
        "key: a job that was cancelled in its run frees it",
        idempotency_keys.never_started,
        drop(comparison("in", "started_at")),
        tests="tests/client",
    ),
)
