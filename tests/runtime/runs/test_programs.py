"""A job does what the plain call does: each program of a table is run plainly and as a job, and compared."""

from __future__ import annotations

import asyncio
import inspect
import json
import locale
import os
import signal
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from offload import Hooks, Retry, State, task
from offload.core.tasks import inherited_job
from offload.core.tasks.retry_policy import grouped
from offload.runtime.limits import SoftLimit
from offload.testing.simulated_worker import SimulatedWorker
from offload.testing.surroundings import MANIFEST
from tests.runtime.runs.programs import asynchronous, concurrent, odd, ordinary, powertools
from tests.runtime.runs.programs.table import PROGRAMS

MODULES = (asynchronous, concurrent, odd, ordinary, powertools)
SIGNALS = sorted(signal.valid_signals())


class Errors(Hooks):
    """Keeps the error of the last run."""

    error = None

    def after_run(self, job, report):
        self.error = report.error


SURROUNDINGS = {MANIFEST, "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
"""The variables of a deployed function, which a pipeline sets around its test."""


def state(threads):
    """What a program may leave behind in its process; other tests may have left `threads` threads before it."""
    until = time.monotonic() + 5
    while threading.active_count() > threads and time.monotonic() < until:
        time.sleep(0.001)  # asyncio has a thread wait for each child process, and does not wait for that thread
    return {
        "signals": [signal.getsignal(number) for number in SIGNALS],
        "mask": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        "pending": signal.sigpending(),
        "alarm": signal.getitimer(signal.ITIMER_REAL),
        "folder": Path.cwd(),
        "environment": {name: value for name, value in os.environ.items() if name not in SURROUNDINGS},
        "locale": locale.setlocale(locale.LC_ALL),
        "threads": threading.active_count(),
        "hooks": (sys.excepthook, threading.excepthook, sys.stdout, sys.stderr, sys.getrecursionlimit()),
    }


@contextmanager
def restored():
    """Give the process back what a program may change for good."""
    signals, environment, folder = {n: signal.getsignal(n) for n in SIGNALS}, dict(os.environ), Path.cwd()
    try:
        yield
    finally:
        for number, handler in signals.items():
            if signal.getsignal(number) != handler:
                signal.signal(number, handler)
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(folder)


def text(error):
    try:
        return str(error)
    except Exception as broken:  # noqa: BLE001 - a program's own text may raise anything
        return f"(its text cannot be shown: {type(broken).__name__})"


def told(error, above=()):
    """What can be told of an exception from outside."""
    if error is None or any(error is each for each in above):
        return None
    parts = [told(each) for each in getattr(error, "exceptions", ())]
    notes = getattr(error, "__notes__", [])
    cause = told(error.__cause__, (*above, error))
    return (type(error).__name__, text(error), notes, parts, cause, error.__suppress_context__)


def call_plainly(program):
    events = []
    try:
        value = asyncio.run(program(events.append)) if inspect.iscoroutinefunction(program) else program(events.append)
    except BaseException as error:  # noqa: BLE001 - programs raise everything
        return None, told(error), events
    return value, None, events


def as_task(program, note):
    def work():
        return program(note)

    async def work_async():
        return await program(note)

    made = work_async if inspect.iscoroutinefunction(program) else work
    made.__name__ = "work"
    return task(retry=Retry(max_attempts=1))(made)


def call_as_job(program, deploy, register, monkeypatch):
    monkeypatch.setattr(SimulatedWorker, "limit", SoftLimit)  # the worker's own, in real time
    events, errors = [], Errors()
    register(errors)
    work = as_task(program, events.append)
    pipeline = deploy(work)
    apply = pipeline.store.port.apply

    def note_the_end(write):
        if write.set.get("state") in (State.SUCCEEDED, State.FAILED):
            events.append("end recorded")
        return apply(write)

    monkeypatch.setattr(pipeline.store.port, "apply", note_the_end)
    job = work.delay()
    pipeline.drain()
    record = job.record()
    if record.state is State.SUCCEEDED:
        return job.result(0), None, events
    assert record.error["type"] == type(errors.error).__name__
    told_of = text(errors.error).encode("utf-8", "replace").decode()[:1000]
    if isinstance(errors.error, BaseExceptionGroup):
        told_of += f": {': '.join(told(grouped(errors.error)[0])[:2])}"
    assert record.error["message"] == told_of
    return None, told(errors.error), events


def test_the_table_is_large():
    assert len(PROGRAMS) >= 160
    assert {program.__module__ for program in PROGRAMS.values()} == {module.__name__ for module in MODULES}


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_program_does_as_a_job_what_it_does_plainly(deploy, register, monkeypatch, name):
    program, threads = PROGRAMS[name], threading.active_count()
    with restored():
        before = state(threads)
        value, error, events = call_plainly(program)
        left = state(threads)
    with restored():
        assert state(threads) == before
        job_value, job_error, job_events = call_as_job(program, deploy, register, monkeypatch)
        job_left = state(threads)

    assert job_events.pop() == "end recorded", "clean-up comes before the end is recorded"
    assert job_events == events
    assert job_error == error
    assert job_value == json.loads(json.dumps(value))
    assert job_left == left
    assert inherited_job.VARIABLE not in os.environ
