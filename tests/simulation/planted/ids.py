"""Faults in whose a job id is, in keys and their arguments, in the index, and in looking at dead letters."""

from __future__ import annotations

from offload.cli import output
from offload.client.key_lookup import named_job
from offload.core.errors import UnknownTask
from offload.core.jobs import accepting, cancelling, claiming, ending, idempotency_keys
from offload.core.jobs.idempotency_keys import KeyUse
from offload.core.jobs.job import Job
from offload.core.jobs.record import of_task
from offload.core.writes import Test, Write
from offload.operate import dead_letters, redrive
from offload.runtime.rejections import Rejections
from tests.simulation.edits import always, drop, put
from tests.simulation.planting import Mutant
from tests.simulation.selecting import argument, branch, condition, conditional, entry, statement

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
