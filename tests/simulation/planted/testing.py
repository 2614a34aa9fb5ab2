"""Faults in what users' tests stand on: whose job a thread is, whom a client speaks to, what time it is."""

from __future__ import annotations

from offload.client import stand_ins
from offload.core.errors import did_you_mean
from offload.core.tasks import context, inherited_job, references, worker_process
from offload.testing import job_threads
from offload.testing.event_loop import VirtualLoop
from offload.testing.green_threads import GreenThreads, without_running_loop
from offload.testing.simulated_worker import _VirtualLimit
from tests.simulation.edits import Code, drop, put
from tests.simulation.planting import Mutant
from tests.simulation.selecting import branch, call, naming

_TESTING, _TASKS = "tests/testing", "tests/core/tasks"

MUTANTS = (
    Mutant(
        "job of a thread: a process that is no worker's has one for all its threads",
        context.enter,
        put(call(worker_process.is_one), True),
        tests=_TESTING,
    ),
    Mutant(
        "job of a thread: children are not told of a job that goes on when another ends",
        inherited_job._Running.tell,
        put(call(inherited_job.describe), None),
        tests=_TESTING,
    ),
    Mutant(
        "job of a thread: a pool works for the job that has started its thread",
        job_threads._taking_call,
        put(call(context.carry), Code("_0"), times=2),
        tests=_TESTING,
    ),
    Mutant("stand-in: not for clients that are made meanwhile", stand_ins.note, drop(branch()), tests=_TESTING),
    Mutant(
        "stand-in: a handle asks the deployed stack when its test is over",
        stand_ins.behind,
        put(naming(stand_ins._own), Code("()")),
        tests=_TESTING,
    ),
    Mutant("clock: an eta is late by what the test takes", GreenThreads.catch_up, drop(branch()), tests=_TESTING),
    Mutant(
        "pipeline: a test has no event loop beside a job that runs",
        GreenThreads.advance_to,
        put(call(without_running_loop), Code("suppress()"), times=2),
        tests="tests/testing/test_pipeline.py",
    ),
    Mutant(
        "event loop: time jumps while a thread works",
        VirtualLoop._waits_for_real_things,
        put(call(job_threads.are_at_work), False),
        tests=_TESTING,
    ),
    Mutant(
        "event loop: a limit that the loop has brought comes again with the next request",
        _VirtualLimit.next_error,
        drop(branch()),
        tests=_TESTING,
    ),
    Mutant(
        "reference: nobody looks whether a task is there that another names",
        references.check_references,
        drop(branch(doing=did_you_mean)),
        tests=_TASKS,
    ),
)
