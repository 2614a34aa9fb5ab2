"""Faults in what people do to a job: redrive it, retry it by hand, cancel it; and in its expiry."""

from __future__ import annotations

from dataclasses import replace

from offload.client.dead_letter_scan import DeadLetterScan, sent_again
from offload.core.jobs import cancelling, claiming, ending, manual_retry, record
from offload.core.jobs.record import NOT_STARTED
from offload.core.jobs.state import State
from offload.core.messages.message import Message
from offload.core.ports import Queues
from offload.core.writes import Test
from offload.runtime.running_job import RunningJob
from tests.simulation.edits import Code, always, drop, move, put
from tests.simulation.planting import Mutant
from tests.simulation.selecting import argument, attribute, branch, call, condition, statement

MUTANTS = (
    Mutant(
        "redrive: the dead letter is deleted before it is sent",
        DeadLetterScan.send_back,
        move(statement(Queues.delete), before=statement(Queues.send)),
    ),
    Mutant(
        "redrive: a scan sends back what has failed again since it began",
        DeadLetterScan._came_since,
        drop(branch()),
        tests="tests/operate/test_redrive.py",
    ),
    Mutant(
        "redrive: a dead letter that does not name its job comes back as another",
        sent_again,
        always(branch(on=attribute(Message, "id"))),
    ),
    Mutant(
        "redrive: the failed job's history begins anew",
        claiming._claim_redriven,
        put(call(claiming._claim), Code("replace(_, append={}, set={**_.set, **_.append})", names=(replace,))),
    ),
    Mutant(
        "retry by hand: a worker that was faster is written over",
        manual_retry.restart_failed,
        drop(condition("finished_at")),
        tests="tests/client/retry_by_hand/test_failed_jobs.py",
    ),
    Mutant(
        "cancel: a running job is ended under its worker",
        cancelling.cancel_waiting,
        put(cancelling._WAITING, (*cancelling._WAITING, State.RUNNING)),
    ),
    Mutant(
        "cancel: the history does not say which attempt was the last",
        record.history_with_attempts,
        drop(branch(on=State.CANCELLED)),
        tests="tests/runtime/test_cancelling.py",
    ),
    Mutant("cancel: a run does not look whether it was asked to stop", RunningJob.cancelled, drop(branch())),
    Mutant(
        "cancel: a run that tells its progress does not learn that it was asked to stop",
        RunningJob._write_progress,
        put(argument(RunningJob._read_cancel, 0), None),
    ),
    Mutant(
        "cancel: a running job is not asked to stop",
        cancelling.request_cancel,
        always(branch()),
    ),
    Mutant(
        "expire: a job that was brought back expires",
        ending.end_expired,
        drop(condition("redrives")),
    ),
    Mutant(
        "expire: a job between attempts expires",
        ending.end_expired,
        put(NOT_STARTED, (*NOT_STARTED, (Test("state", "=", State.RETRYING.value),))),
    ),
)
