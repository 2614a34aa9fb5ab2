"""Faults in what producers rely on: connecting, looking again, forks, waits of `async` code."""

from __future__ import annotations

import threading

from offload.aws import manifests
from offload.client.connection import _PATIENCE_AGAIN, LOOK_AGAIN_MS, Connector, connect_to
from offload.client.loop_waits import LoopWait
from offload.client.poller import MOST_LOOKS, NotConnected, Poller
from offload.core.jobs.polling import FIRST_PAUSE, LONGEST_FAILURE, LONGEST_PAUSE, Wait, _next_look
from tests.simulation.edits import drop, put
from tests.simulation.planting import Mutant
from tests.simulation.selecting import attribute, branch, comparison, naming, statement

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
        "producer: a forked process waits for a lock of its parent's threads",
        Connector.after_fork,
        drop(statement(threading.Lock)),
        tests="tests/client",
    ),
    Mutant(
        "producer: a manifest that is throttled is not waited for",
        manifests._Patient.__call__,
        put(naming(manifests._SHORTEST_WAIT), 1000.0),
        tests="tests/aws",
    ),
    Mutant(
        "producer: throttled attempts for the manifest come together",
        manifests._Patient.__call__,
        put(naming(manifests._LONGEST_WAIT), 0.5),
        tests="tests/aws",
    ),
    Mutant(
        "producer: a second look waits for throttles as the first one does",
        connect_to,
        put(naming(_PATIENCE_AGAIN), 60.0),
        tests="tests/client",
    ),
    Mutant(
        "waiting: a job is looked at for those who gave up",
        Poller._take,
        put(attribute(LoopWait, "given_up"), instead=False),
        tests="tests/client",
    ),
    Mutant(
        "waiting: one request at a time",
        Poller._next,
        put(naming(MOST_LOOKS), 1),
        tests="tests/client",
    ),
    Mutant(
        "waiting: a timeout is told after its look",
        LoopWait.time_out,
        drop(branch()),
        tests="tests/client",
    ),
    Mutant(
        "waiting: a look that is not answered ends the wait",
        Wait.after_failure,
        put(naming(LONGEST_FAILURE), -1.0),
        tests="tests/client",
    ),
    Mutant(
        "waiting: looks that fail for a minute end no wait",
        Wait.after_failure,
        drop(branch(on=comparison(">="))),
        tests="tests/client",
    ),
    Mutant(
        "waiting: a stack that was never reached is waited for",
        Poller._outcome,
        drop(branch(on=naming(NotConnected))),
        tests="tests/client",
    ),
    Mutant(
        "waiting: the pauses do not grow",
        _next_look,
        put(naming(LONGEST_PAUSE), FIRST_PAUSE),
        tests="tests/client",
    ),
)
