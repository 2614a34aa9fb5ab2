"""Faults in what producers rely on: connecting, looking again, forks, waits of `async` code, payloads by name."""

from __future__ import annotations

import threading

from offload.client.connection import LOOK_AGAIN_MS, Connector
from offload.client.named_tasks import NamedTasks
from offload.client.poller import Poller, _Entry
from offload.core.enqueueing import json_schema
from offload.core.enqueueing.payload_schema import PayloadSchema
from offload.core.jobs.polling import FIRST_PAUSE, LONGEST_PAUSE, Wait
from tests.simulation.edits import Code, drop, put
from tests.simulation.planting import Mutant
from tests.simulation.selecting import attribute, branch, call, comparison, naming, statement

MUTANTS = (
    Mutant(
        "producer: a name that is wrong is looked up at every use",
        Connector.look_again,
        put(naming(LOOK_AGAIN_MS), 0),
        tests="tests/client",
    ),
    Mutant(
        "producer: a connection that could not be made once is never made",
        Connector.connection,
        drop(comparison(">")),
        tests="tests/client",
    ),
    Mutant(
        "producer: threads that waited for a connection make another",
        Connector.connection,
        drop(branch(on=comparison(">"))),
        tests="tests/client",
    ),
    Mutant(
        "by name: the payload is sent as it was given",
        NamedTasks._request,
        put(call(PayloadSchema.write), Code("_0")),
        tests="tests/client",
    ),
    Mutant(
        "by name: what a validator of the task's own sees first is refused",
        json_schema._Rebuilding._part,
        drop(comparison("in", json_schema.LEFT_TO_WORKER)),
        tests="tests/core",
    ),
    Mutant(
        "producer: a forked process waits for a lock of its parent's threads",
        Connector.after_fork,
        drop(statement(threading.Lock)),
        tests="tests/client",
    ),
    Mutant(
        "waiting: a job is looked at for those who gave up",
        Poller._take,
        put(attribute(_Entry, "given_up"), instead=False),
        tests="tests/client",
    ),
    Mutant(
        "waiting: the pauses do not grow",
        Wait.after_look,
        put(naming(LONGEST_PAUSE), FIRST_PAUSE),
        tests="tests/client",
    ),
)
