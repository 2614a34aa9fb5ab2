"""Faults in recording an end, and in what the worker does with the message afterwards."""

from __future__ import annotations

from offload.core.jobs import ending
from offload.core.jobs.record import in_brief
from offload.core.messages.delivery import Delivery
from offload.core.tasks.control import Permanent
from offload.core.tasks.retry_policy import Retry
from offload.runtime.invocation import Invocation
from offload.runtime.outcomes import Acknowledge, HasEnded, HasFailed, LeaveHidden, NotNow, ReturnToQueue, RunRetries
from offload.runtime.rejections import Rejections
from offload.runtime.run_ends import RunEnds
from offload.runtime.running_job import RunningJob
from offload.runtime.runs import Runs
from offload.runtime.worker import Worker
from tests.simulation.edits import Code, always, compare, drop, first_case, put, within
from tests.simulation.planting import Mutant
from tests.simulation.selecting import attribute, branch, call, case, condition, conditional, key, statement

_RECORDING = (
    Mutant(
        "end: any running job can be ended, whoever holds it",
        ending._holds_lease,
        drop(condition("lease")),
    ),
    Mutant(
        "end: a retry is recorded although a cancel was asked for",
        ending.end_attempt,
        drop(condition("cancel_requested_at")),
    ),
    Mutant(
        "end: a job that waits for a retry keeps the whole traceback",
        ending.end_attempt,
        put(call(in_brief), Code("_0")),
        tests="tests/runtime/test_costs.py",
    ),
    Mutant("end: a failure is recorded without a condition", ending.end_run_failed, drop(call(ending._holds_lease))),
    Mutant(
        "end: a large result is named as if it were in the record",
        Runs._result,
        put(key("result_ref"), "result"),
    ),
    Mutant(
        "end: all runs of a job store their large results under one key",
        Runs._result,
        put(attribute(Delivery, "lease"), "result"),
    ),
    Mutant(
        "end: one request without an answer, and the run is for nothing",
        RunEnds._apply,
        put(call(Invocation.repeat_until_answered), Code("_0()")),
    ),
    Mutant(
        "end: a lost answer is taken for a lost lease",
        RunEnds._apply,
        put(call(ending.was_recorded), False),
        tests="tests/runtime/test_unrecorded_ends.py",
    ),
    Mutant(
        "reject: a broken body ends a job that is between attempts",
        ending.end_rejected,
        always(conditional()),
    ),
    Mutant(
        "reject: a message that does not fit fails although its job runs",
        Rejections.reject_misfit,
        drop(branch(doing=NotNow)),
        tests="tests/runtime/test_contract_bodies.py",
    ),
    Mutant(
        "progress: an overtaken worker writes into the winner's record",
        RunningJob._write_progress,
        drop(condition("lease")),
    ),
    Mutant("retry: one attempt more than allowed", Retry.decide, compare(">=", ">")),
    Mutant(
        "retry: a permanent error is tried again",
        Retry.decide,
        drop(branch(on=Permanent)),
    ),
)

_MESSAGES = (
    Mutant(
        "message: an overtaken worker acknowledges it",
        Worker._after,
        put(call(LeaveHidden), Acknowledge()),
        tests="tests/runtime/test_fencing.py",
    ),
    Mutant(
        "message: it is acknowledged although its job is to wait",
        Worker._after,
        within(case(NotNow), put(call(ReturnToQueue), Acknowledge())),
    ),
    Mutant(
        "message: it is acknowledged although its job is to be tried again",
        Worker._after,
        within(case(RunRetries), put(call(ReturnToQueue), Acknowledge())),
    ),
    Mutant(
        "follow-up: nobody enqueues it",
        Worker._after,
        within(case(HasEnded), drop(statement(Worker._enqueue_follow_up))),
    ),
    Mutant(
        "follow-up: that of a failed job is forgotten",
        Worker._after,
        within(case(HasFailed), drop(statement(Worker._enqueue_follow_up))),
    ),
    Mutant(
        "follow-up: it is lost with the worker that has recorded the end",
        Worker._after,
        first_case(HasEnded, Acknowledge()),
    ),
)

MUTANTS = (*_RECORDING, *_MESSAGES)
