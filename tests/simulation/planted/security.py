"""Faults in what keeps others out: whose object a payload may be, what texts say of secrets, who calls the engine."""

from __future__ import annotations

from itertools import chain

from offload.aws.timers import SchedulerTimers
from offload.core.manifest import Manifest
from offload.core.redaction import redact
from offload.core.retention import RESULT_DAYS, is_payload_of, result_folders
from offload.core.spellings import _MOST_PIECES, Pieces, _spelled, _spellings
from offload.local.guard import _FROM_A_PAGE, Guard, _without_cors
from offload.runtime.failures import _kind_and_message, _traceback
from offload.runtime.logs import _is_the_librarys_news, write_json
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
        _spellings,
        put(call(_spelled), ()),
        tests="tests/core",
    ),
    Mutant(
        "secret: each spelling is looked for as a whole",
        Pieces.__init__,
        put(comparison(">"), False),
        tests=_TRIES,
    ),
    Mutant(
        "secret: the end of a large one is not looked for",
        Pieces.__init__,
        put(call(chain), Code("_0")),
        tests="tests/core/test_spellings.py",
    ),
    Mutant(
        "secret: a large one has as many pieces as characters",
        Pieces.__init__,
        put(naming(_MOST_PIECES), 10**9),
        tests="tests/core/test_spellings.py",
    ),
    Mutant(
        "secret: each run of a job looks for it, also without an error",
        write_json,
        put(call(_is_the_librarys_news), False),
        tests=_TRIES,
    ),
    Mutant("secret: log lines are kept as they are", write_json, put(call(_is_the_librarys_news), True), tests=_TRIES),
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
