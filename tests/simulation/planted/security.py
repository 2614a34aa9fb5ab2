"""Faults in what keeps others out: whose object a payload may be, what texts say of secrets, who calls the engine."""

from __future__ import annotations

from offload.aws.timers import SchedulerTimers
from offload.core.manifest import Manifest
from offload.core.redaction import Redaction, _forms, redact
from offload.core.retention import RESULT_DAYS, is_payload_of, result_folders
from offload.local.guard import _FROM_A_PAGE, Guard, _without_cors
from offload.runtime.failures import _kind_and_message, _traceback
from offload.runtime.payloads import read_payload
from tests.simulation.edits import Code, drop, put
from tests.simulation.planting import Mutant
from tests.simulation.selecting import branch, call, comparison, entry, naming, returned

_TRIES = "tests/security/jobs"

MUTANTS = (
    Mutant("payload: any object of the bucket is read", read_payload, put(call(is_payload_of), True), tests=_TRIES),
    Mutant("payload: any bucket is read", read_payload, put(comparison("=="), True), tests=_TRIES),
    Mutant(
        "secret: the message of an error is kept as it is",
        _kind_and_message,
        put(call(redact), Code("_0")),
        tests=_TRIES,
    ),
    Mutant("secret: a traceback is kept as it is", _traceback, put(call(redact), Code("_0"), times=2), tests=_TRIES),
    Mutant(
        "secret: only its plain spelling is known",
        Redaction.__init__,
        put(call(_forms), Code("[_0]")),
        tests="tests/core",
    ),
    Mutant(
        "timers: what cannot be delivered is dropped",
        SchedulerTimers.send_at,
        drop(entry("DeadLetterConfig")),
        tests="tests/aws",
    ),
    Mutant(
        "timers: a lane's timer looks for a role of its own",
        Manifest.task_of,
        put(returned(), Code("_ + '-high'")),
        tests="tests/core/test_manifest.py",
    ),
    Mutant(
        "roles: results of a task are looked for under one age alone",
        result_folders,
        put(naming(RESULT_DAYS), Code("RESULT_DAYS[:1]")),
        tests="tests/core",
    ),
    Mutant("engine: web pages may call it", Guard._check, drop(branch(on=_FROM_A_PAGE)), tests="tests/local"),
    Mutant("engine: any name may lead to it", Guard._check, drop(branch(on="host")), tests="tests/local"),
    Mutant(
        "engine: its answers may be read by web pages",
        Guard.__call__,
        put(call(_without_cors), "send"),
        tests="tests/local",
    ),
)
