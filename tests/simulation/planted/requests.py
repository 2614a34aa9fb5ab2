"""Faults in the transports: how long a request may take, what a fork shares, and batches of writes."""

from __future__ import annotations

from offload.aws import connections, credentials, sdk, signed, sockets
from offload.aws.batches import Batches
from offload.aws.calls import is_carried_out
from offload.aws.connections import Pool
from offload.aws.sockets import TimedSocket
from offload.core.clock import Deadline
from tests.simulation.edits import drop, put
from tests.simulation.planting import Mutant
from tests.simulation.selecting import call, comparison, conditional, parameter, statement

MUTANTS = (
    Mutant(
        "request: it may last to the end of the invocation",
        Deadline.begin,
        put(conditional(), 0),
        tests="tests/core/test_clock.py",
    ),
    Mutant(
        "request: a service that used up its time gets half of the rest, again and again",
        Deadline.begin,
        put(comparison("in"), False),
        tests="tests/core/test_clock.py",
    ),
    Mutant(
        "request: the first attempt may use up the time of all",
        signed._Transport._exchange,
        put(parameter(3), 1),
        tests="tests/aws/test_signed.py",
    ),
    Mutant(
        "request: each byte of an answer has the whole time",
        TimedSocket._arm,
        put(call(min), 3600),
        tests="tests/aws/test_sockets.py",
    ),
    Mutant(
        "fork: a child has its parent's idle connections",
        connections._forget_all,
        drop(statement(Pool.forget)),
        tests="tests/aws/test_forks.py",
    ),
    Mutant(
        "fork: a child keeps its parent's sockets open",
        sockets._abandon_all,
        drop(statement(TimedSocket.abandon)),
        tests="tests/aws/test_forks.py",
    ),
    Mutant(
        "fork: a child has its parent's clients and locks",
        sdk._forget_all,
        drop(statement(sdk._Transport.forget)),
        tests="tests/aws/test_forks.py",
    ),
    Mutant(
        "credentials: they are used until they have ended",
        credentials,
        put(credentials.REFRESH_BEFORE_MS, 0),
        tests="tests/aws/test_credentials.py",
    ),
    Mutant(
        "batch: two writes of one item go in one request",
        Batches.write,
        drop(comparison("in")),
        tests="tests/aws/test_batches.py",
    ),
    Mutant(
        "batch: a write that met its own effect is a conflict",
        Batches._meet,
        put(call(is_carried_out), False),
        tests="tests/aws/test_batches.py",
    ),
)
