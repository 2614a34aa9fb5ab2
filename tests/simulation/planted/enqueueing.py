"""Faults in enqueueing a job, and in idempotency keys."""

from __future__ import annotations

import threading

from offload.cli import lines
from offload.client import bulk_requests
from offload.client.bulk_lookup import BulkLookup
from offload.client.bulk_requests import BulkJob
from offload.client.key_lookup import named_job
from offload.client.sender import Sender
from offload.client.shipment import Shipment
from offload.client.spool import Outcome
from offload.core.enqueueing import bulk
from offload.core.enqueueing.bulk import IdPrefix
from offload.core.enqueueing.handle import JobHandle
from offload.core.enqueueing.options import CheckedOptions
from offload.core.errors import Unavailable
from offload.core.jobs import idempotency_keys
from offload.core.jobs.accepting import accept, check_owner
from offload.core.retention import LONGEST_DELAY
from offload.core.tasks import setting
from offload.core.writes import Test, Write
from tests.simulation.edits import always, drop, move, put
from tests.simulation.planting import Mutant
from tests.simulation.selecting import (
    argument,
    attribute,
    branch,
    call,
    comparison,
    condition,
    conditional,
    handler,
    statement,
)

MUTANTS = (
    Mutant(
        "enqueue: the record goes before the message",
        Sender.send,
        move(statement(Sender._write_record), before=statement(Sender.send_message)),
    ),
    Mutant(
        "enqueue: a record that cannot be written fails a job that was sent",
        Sender._write_record,
        drop(handler(Unavailable)),
    ),
    Mutant("enqueue: the record replaces that of a faster worker", accept, drop(argument(Write, "when"))),
    Mutant(
        "key: a producer's death between key and message loses the job",
        named_job,
        put(comparison("in", "confirmed"), True),
    ),
    Mutant(
        "bulk: failures within a batch are swallowed",
        bulk_requests.send_together,
        drop(statement(attribute(BulkJob, "outcome"))),
    ),
    Mutant(
        "bulk: what failed within a batch is recorded all the same",
        Shipment._settle,
        always(conditional()),
    ),
    Mutant(
        "bulk: a job that a key names is sent under another id",
        bulk_requests._to_send,
        drop(statement(Sender.prepare)),
        tests="tests/client/test_crashes.py",
    ),
    Mutant(
        "bulk: a job that is there already is sent again",
        Shipment._send_block,
        drop(statement(Shipment._succeed)),
        tests="tests/client/test_enqueueing_many.py",
    ),
    Mutant(
        "bulk: the same prefix gives other ids the next time",
        IdPrefix.job_id,
        put(attribute(IdPrefix, "secret"), "drawn", times=2),
        tests="tests/core/enqueueing/test_bulk.py",
    ),
    Mutant(
        "bulk: an id of another task counts as a job that is there",
        BulkLookup.job_of,
        drop(statement(check_owner)),
        tests="tests/client/test_enqueueing_many.py",
    ),
    Mutant(
        "bulk: a later call of a key has whatever the earlier one has",
        Outcome.decides,
        put(attribute(Outcome, "own"), False),
        tests="tests/client/test_repeated_keys.py",
    ),
    Mutant(
        "bulk: async code that is cancelled goes on",
        bulk.in_own_thread,
        put(call(threading.Event.is_set), False),
        tests="tests/client/test_enqueueing_many.py",
    ),
    Mutant(
        "bulk: a repeated key hides that another task has the call's id",
        Shipment._follow,
        drop(statement(check_owner)),
        tests="tests/client/test_repeated_keys.py",
    ),
    Mutant(
        "options: an eta may be years ahead",
        CheckedOptions.start_at,
        drop(branch(on=LONGEST_DELAY)),
        tests="tests/core/enqueueing/test_options.py",
    ),
    Mutant(
        "options: track=start is not heeded",
        Sender.record,
        drop(branch()),
    ),
    Mutant(
        "key: it is never confirmed",
        Sender._send_keyed,
        drop(statement(idempotency_keys.confirm_key)),
    ),
    Mutant(
        "key: all tasks share it",
        idempotency_keys.KeyUse.item_id,
        put(attribute(idempotency_keys.KeyUse, "task"), ""),
    ),
    Mutant(
        "key: whoever comes last has it",
        idempotency_keys.reserve_key,
        put(condition("until"), Test("until", "present")),
    ),
    Mutant(
        "key: a job that was cancelled in its run frees it",
        idempotency_keys.never_started,
        drop(comparison("in", "started_at")),
    ),
    Mutant(
        "from a file: jobs that were there already are counted as new",
        lines._new,
        drop(attribute(JobHandle, "created")),
        tests="tests/cli/test_enqueue.py",
    ),
    Mutant(
        "settings: a task may set what Lambda sets itself",
        setting.is_environment,
        drop(branch(on=setting.LAMBDAS_OWN)),
        tests="tests/core/tasks/test_settings.py",
    ),
)
