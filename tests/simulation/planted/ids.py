"""Faults in whose a job id is, in keys and their arguments, in the index, and in looking at dead letters."""

from __future__ import annotations

from offload.cli import output
from offload.client import bulk_blocks
from offload.client.bulk_lookup import BulkLookup
from offload.client.key_lookup import named_job
from offload.client.named_calls import NamedCalls
from offload.client.sender import Sender
from offload.core.enqueueing.options import CheckedOptions
from offload.core.errors import UnknownTask
from offload.core.ids import new_id
from offload.core.jobs import accepting, arguments, cancelling, claiming, ending, idempotency_keys
from offload.core.jobs.idempotency_keys import KeyUse
from offload.core.jobs.job import Job
from offload.core.jobs.record import of_task
from offload.core.writes import Test, Write
from offload.operate import dead_letters, redrive
from offload.runtime.rejections import Rejections
from tests.simulation.edits import Code, always, drop, put
from tests.simulation.planting import Mutant
from tests.simulation.selecting import (
    argument,
    attribute,
    branch,
    call,
    condition,
    conditional,
    entry,
    go_on,
    naming,
    statement,
)

_IDS = (
    Mutant("ids: a message changes the record of any task", of_task, drop(condition("task"))),
    Mutant(
        "ids: a message that names another task's job goes on as if it were its own",
        claiming.resolve_conflict,
        drop(branch(on=claiming.is_own)),
    ),
    Mutant(
        "ids: a broken body that names another task's job leaves no record",
        Rejections.reject_broken,
        drop(branch(on=claiming.is_own)),
    ),
    Mutant(
        "ids: a payload that does not fit waits for another task's job",
        Rejections.reject_misfit,
        drop(branch(on=claiming.is_own)),
    ),
    Mutant(
        "ids: a message for another task takes that task's id",
        Rejections.reject_broken,
        drop(branch(on=UnknownTask)),
        tests="tests/runtime/test_taken_ids.py",
    ),
    Mutant(
        "ids: a handle shows another task's job", Job.of_task, drop(branch()), tests="tests/client/test_taken_ids.py"
    ),
    Mutant(
        "ids: whoever enqueues under another task's id is not told",
        accepting.check_owner,
        drop(branch()),
        tests="tests/client/test_enqueueing_many.py",
    ),
    Mutant(
        "ids: a forged message expires a job before its time",
        ending.end_expired,
        put(condition("expires_at"), Test("redrives", "absent")),
        tests="tests/core/jobs/test_ending.py",
    ),
)

_KEYS = (
    Mutant(
        "key: a slow producer confirms the key of another's job",
        idempotency_keys.confirm_key,
        drop(argument(Write, "when")),
        tests="tests/client/test_reused_keys.py",
    ),
    Mutant(
        "key: two producers that free it at once both have it",
        idempotency_keys.reassign_key,
        drop(condition("job")),
    ),
    Mutant(
        "key: other arguments are not noticed",
        KeyUse.check_arguments,
        drop(branch()),
    ),
    Mutant(
        "key: a key that is free again keeps the arguments it had",
        idempotency_keys._name_job,
        drop(entry("digest")),
    ),
    Mutant(
        "key: the id of a job that is there has any free key",
        idempotency_keys.job_of_id,
        drop(branch()),
    ),
    Mutant(
        "key: a free key is given to a job that is there, which is sent again",
        Sender.send,
        put(argument(Sender._send_keyed, 1), None),
    ),
    Mutant(
        "bulk: other arguments of a key go unnoticed under the same prefix",
        BulkLookup.job_of,
        always(branch(on=attribute(CheckedOptions, "key"))),
    ),
    Mutant(
        "arguments: the digests of equal ones are equal",
        KeyUse.of,
        put(call(new_id), ""),
        tests="tests/core/jobs/test_arguments.py",
    ),
    Mutant(
        "arguments: a set is written as its process orders it",
        arguments._list,
        put(call(sorted), Code("_0")),
        tests="tests/core/jobs/test_arguments.py",
    ),
    Mutant(
        "arguments: numbers are compared by their texts",
        arguments.canonical,
        drop(naming(arguments._number)),
        tests="tests/core/jobs/test_arguments.py",
    ),
    Mutant(
        "names: of two calls of one key, the arguments of the second are lost",
        NamedCalls._of_key,
        drop(branch()),
        tests="tests/client/test_named_calls.py",
    ),
    Mutant(
        "names: a call that has the job of another is sent too",
        bulk_blocks.blocks,
        drop(branch(doing=go_on())),
        tests="tests/client/test_named_calls.py",
    ),
    Mutant(
        "key: a key names another task's job",
        named_job,
        drop(statement(accepting.check_owner)),
        tests="tests/client/test_reused_keys.py",
    ),
)

_INDEX = (
    Mutant("index: a claim leaves the job in the list of those that wait", claiming._claim, drop("idx")),
    Mutant("index: a cancel leaves the job in the list of those that wait", cancelling.cancel_waiting, drop("idx")),
    Mutant("index: an expired job stays in the list of those that wait", ending.end_expired, drop("idx")),
)

_LOOKING = (
    Mutant(
        "look: a slow look never comes to those behind",
        dead_letters._looked_at,
        put(conditional(), dead_letters._HIDE),
        tests="tests/operate/test_dead_letters.py",
    ),
    Mutant(
        "redrive: SQS moves faster than was asked for",
        redrive._move_by_service,
        drop(branch()),
        tests="tests/operate/test_redrive.py",
    ),
    Mutant(
        "print: what others wrote reaches the terminal",
        output.printable,
        always(conditional()),
        tests="tests/cli/test_dlq.py",
    ),
)

MUTANTS = (*_IDS, *_KEYS, *_INDEX, *_LOOKING)
