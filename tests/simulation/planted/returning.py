"""Faults in returning a message to its queue, in replacing it, and on its way to the dead-letter queue."""

from __future__ import annotations

from offload.aws import signed
from offload.core.clock import RequestTime
from offload.core.errors import PayloadError, Unavailable
from offload.core.jobs import claiming
from offload.core.messages import copying, waiting
from offload.core.messages.message import Message, job_id_of
from offload.core.ports import Queues, Timers
from offload.runtime.copies import Copies
from offload.runtime.invocation import Invocation
from offload.runtime.message_returns import MessageReturns
from offload.runtime.outcomes import BatchAnswer
from offload.runtime.payloads import Payloads
from offload.runtime.replacements import Replacements
from offload.runtime.running_job import _PAUSE_MS, RunningJob
from offload.runtime.telemetry import Telemetry
from tests.simulation.edits import Code, drop, put, within
from tests.simulation.planting import Mutant
from tests.simulation.selecting import (
    attribute,
    branch,
    call,
    comparison,
    handler,
    key,
    pair,
    parameter,
    returned,
    statement,
)

MUTANTS = (
    Mutant(
        "return: the message is not hidden until its time",
        MessageReturns._return,
        drop(statement(MessageReturns._hide)),
        tests="tests/runtime/test_follow_ups.py",
    ),
    Mutant(
        "dead letter: the message is acknowledged", MessageReturns._fail, put(BatchAnswer.NOT_DONE, BatchAnswer.DONE)
    ),
    Mutant(
        "dead letter: a message that does not name its job goes as it is",
        MessageReturns._fail,
        drop(branch(on=job_id_of)),
    ),
    Mutant(
        "replace: the message is acknowledged, and no copy is sent",
        Copies.send,
        drop(statement(Queues.send)),
    ),
    Mutant(
        "replace: the message is acknowledged, and no timer is set",
        Copies.send_at,
        drop(statement(Timers.send_at)),
    ),
    Mutant("replace: the copy does not name the job", copying.copy_body, drop(pair("id"))),
    Mutant(
        "replace: the copy does not say which message it replaces",
        copying._origin,
        put(key("replaces"), "x"),
    ),
    Mutant(
        "replace: the copy names the last message that it replaces alone",
        copying._origin,
        drop(attribute(Message, "replaces")),
        tests="tests/core/messages/test_copying.py",
    ),
    Mutant(
        "replace: a late copy counts as redriven",
        claiming._was_redriven,
        put(call(copying.origin_sent_at), Code("_1")),
        tests="tests/core/jobs/test_claiming.py",
    ),
    Mutant(
        "replace: a redriven copy counts as late",
        claiming._was_redriven,
        drop(comparison("in", of="message_copied_at")),
    ),
    Mutant(
        "replace: a timer that is a day late counts as a redrive",
        copying.origin_sent_at,
        put(copying.LATEST_TIMED_MS, copying.LATEST_COPY_MS),
        tests="tests/core",
    ),
    Mutant(
        "replace: the copy of a copy counts as one that a timer sends",
        copying.copy_body,
        put("timed", "sent_by"),
        tests="tests/core/messages/test_copying.py",
    ),
    Mutant(
        "returns: an outage in which nothing succeeds is not counted",
        Telemetry.message_returned,
        drop(statement(Telemetry._count)),
        tests="tests/runtime/test_telemetry.py",
    ),
    Mutant(
        "wait: a message waits in flight, however long",
        waiting.way_to_wait,
        put(waiting.LONGEST_HIDDEN, 43_200, times=2),
        tests="tests/runtime/test_waiting.py",
    ),
    Mutant(
        "replace: the copy does not say that workers never returned its message",
        MessageReturns.replace,
        put(call(copying.unreturned_body), Code("_0")),
    ),
    Mutant(
        "payload: it is read before the claim although it may have killed workers",
        Payloads.read,
        drop(branch(on=attribute(Message, "unreturned"))),
    ),
    Mutant(
        "payload: a claimed job whose bucket does not answer keeps its claim",
        Payloads.read_claimed,
        within(handler(Unavailable), drop(statement(Payloads._release))),
        tests="tests/runtime/test_killing_payloads.py",
    ),
    Mutant(
        "payload: a claimed job whose payload does not fit keeps its claim",
        Payloads.read_claimed,
        within(handler(PayloadError), drop(statement(Payloads._release))),
        tests="tests/runtime/test_killing_payloads.py",
    ),
    Mutant(
        "payload: a release without an answer is not made again",
        Payloads._release,
        put(call(Invocation.repeat_until_answered), Code("_0()")),
        tests="tests/runtime/test_killing_payloads.py",
    ),
    Mutant(
        "timer: two tasks' jobs of one id have one timer",
        waiting.timer_name,
        put(parameter(0), "task", times=2),
        tests="tests/client/test_timers_of_taken_ids.py",
    ),
    Mutant(
        "timer: a job has one timer, whatever the moment",
        waiting.timer_name,
        put(parameter(2), 0),
        tests="tests/client/test_timers_of_taken_ids.py",
    ),
    Mutant(
        "timer: a producer's message that is sent by hand must be a copy",
        copying.resent_body,
        drop(branch()),
        tests="tests/client/test_timers_of_taken_ids.py",
    ),
    Mutant(
        "onlookers: a table that fails is asked again each second",
        RunningJob._pause,
        put(_PAUSE_MS, 0),
        tests="tests/runtime/test_progress.py",
    ),
    Mutant(
        "onlookers: a table that hangs uses up the time of the job",
        signed._Transport.__call__,
        drop(branch(doing=RequestTime.within)),
        tests="tests/aws/test_brief_requests.py",
    ),
    Mutant(
        "replace: no message before a batch, so that neighbours of killers are dead-lettered",
        Replacements._is_near_last_receive,
        put(returned(), False),
        tests="tests/runtime/test_replacing.py",
    ),
)
