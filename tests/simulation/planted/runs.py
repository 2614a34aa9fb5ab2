"""Faults in running a function: its limits, its event loop, what belongs to its job, its result."""

from __future__ import annotations

import os
import signal
from typing import Any

from offload.core.errors import WrongResult
from offload.core.hooks import call_hooks
from offload.core.tasks import context, inherited_job, worker_process
from offload.core.tasks.control import Permanent, SoftTimeLimitExceeded
from offload.core.tasks.retry_policy import Retry
from offload.core.tasks.signature import Signature
from offload.runtime.event_loop import LimitedCoroutine, _LimitCancels
from offload.runtime.forks import ChildrenEnd
from offload.runtime.limits import SoftLimit, StillRunning, _Swallowed, as_recorded
from offload.runtime.runs import Runs
from offload.runtime.timers import Timer, timer
from tests.simulation.edits import Code, always, drop, put
from tests.simulation.planting import Mutant
from tests.simulation.selecting import branch, call, handler, naming, returned, statement

_RUNTIME, _CORE = "tests/runtime/runs", "tests/core/tasks"

MUTANTS = (
    Mutant(
        "limit: a late signal raises wherever the process is",
        SoftLimit._interrupt,
        put(call(SoftLimit._is_within_call), True),
        tests=_RUNTIME,
    ),
    Mutant(
        "limit: what comes again can be swallowed again",
        SoftLimit._interrupt,
        put(naming(StillRunning), SoftTimeLimitExceeded),
        tests=_RUNTIME,
    ),
    Mutant(
        "limit: an exception that Python has swallowed counts as one that came",
        SoftLimit._was_swallowed,
        drop(statement(Timer.start)),
        tests=_RUNTIME,
    ),
    Mutant(
        "limit: the hook of the process is never put back",
        SoftLimit.call,
        drop(statement(_Swallowed.end)),
        tests=_RUNTIME,
    ),
    Mutant("limit: a clean-up gets no time", SoftLimit.pause, put(call(max), 0.01, times=2), tests=_RUNTIME),
    Mutant(
        "limit: a signal that was sent comes when its handler is gone",
        Timer.stop,
        put(call(signal.sigtimedwait), None),
        tests=_RUNTIME,
    ),
    Mutant("limit: its signal is never put back", timer, drop(branch()), tests=_RUNTIME),
    Mutant("limit: recorded by the name it came as", Runs.run, put(call(as_recorded), Code("_0")), tests=_RUNTIME),
    Mutant(
        "event loop: what leaves the coroutine is nothing but a cancel",
        LimitedCoroutine._step,
        drop(handler(_LimitCancels)),
        tests=_RUNTIME,
    ),
    Mutant(
        "event loop: after its coroutine a signal brings what is not due",
        LimitedCoroutine.wait,
        put(returned(), 0.0),
        tests=_RUNTIME,
    ),
    Mutant(
        "event loop: what a callback or another task has swallowed is lost",
        LimitedCoroutine._reach,
        put(call(LimitedCoroutine._is_lost), False),
        tests=_RUNTIME,
    ),
    Mutant(
        "event loop: what came into a task counts as the coroutine's first",
        SoftLimit._interrupt,
        put(naming(SoftLimit._next_astray), Code("_0.__self__.next_error")),
        tests=_RUNTIME,
    ),
    Mutant(
        "fork: a child that leaves its function goes on as a second worker",
        ChildrenEnd.__exit__,
        drop(statement(ChildrenEnd.end)),
        tests=_RUNTIME,
    ),
    Mutant(
        "fork: a child that leaves a coroutine cleans up the loop of its parent",
        LimitedCoroutine._step,
        drop(statement(ChildrenEnd.end), times=2),
        tests=_RUNTIME,
    ),
    Mutant(
        "fork: the child of a hook is one of its errors",
        call_hooks,
        drop(branch(on=os.getpid), times=2),
        tests=_RUNTIME,
    ),
    Mutant(
        "child: one that inherits the environment of C never hears of its job",
        inherited_job.write,
        drop(statement(inherited_job._write_over)),
        tests=_RUNTIME,
    ),
    Mutant(
        "thread: one that outlives its job begins a chain anew",
        worker_process.leave,
        drop(branch(doing=worker_process._note_left_over)),
        tests=_RUNTIME,
    ),
    Mutant("hops: a hook begins a chain", context.origin, put(call(int), 0), tests=_RUNTIME),
    Mutant(
        "result: nobody looks whether it can be read",
        Signature.write_result,
        always(branch(on=Any)),
        tests=_CORE,
    ),
    Mutant("result: a wrong one is tried again", Retry.decide, put(naming(WrongResult), Permanent), tests=_CORE),
)
