"""Faults in returning a message to its queue, in replacing it, and on its way to the dead-letter queue."""

from __future__ import annotations

from offload.core.errors import Unavailable
from offload.core.messages.message import Message, job_id_of
from offload.core.ports import Queues
from offload.runtime.message_returns import MessageReturns
from offload.runtime.outcomes import BatchAnswer
from tests.simulation.edits import drop, put, within
from tests.simulation.planting import Mutant
from tests.simulation.selecting import attribute, branch, comparison, handler, pair, returned, statement

MUTANTS = (
    Mutant(
        "return: the message is not hidden until its time",
        MessageReturns._return,
        drop(statement(MessageReturns._hide)),
        tests="tests/client",
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
        MessageReturns._send_copy,
        drop(statement(Queues.send)),
    ),
    Mutant(
        "replace: the message is acknowledged although the copy was refused",
        MessageReturns._send_copy,
        within(handler(Unavailable), put(returned(), True)),
    ),
    Mutant("replace: the copy does not name the job", MessageReturns._send_copy, drop(pair("id"))),
    Mutant(
        "replace: the copy does not say which message it replaces",
        MessageReturns._send_copy,
        drop(statement("replaces")),
        tests="tests/runtime",
    ),
    Mutant(
        "replace: the copy names the last message that it replaces alone",
        MessageReturns._send_copy,
        drop(attribute(Message, "replaces")),
        tests="tests/runtime",
    ),
    Mutant(
        "replace: never, so that a job that waits often comes to the dead-letter queue",
        MessageReturns._return,
        drop(comparison(">=")),
        tests="tests/runtime",
    ),
    Mutant(
        "replace: not before a run, which may kill the worker at the last receive",
        MessageReturns.is_near_last_receive,
        put(returned(), False),
        tests="tests/runtime",
    ),
)
