"""A forked child of a job ends where it leaves the task's code, and is no second worker.

Each program runs in a process of its own: a child that goes on would go on with the tests.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PROGRAM = """
import atexit, asyncio, json, os, sys, threading, time
from offload import Hooks, Retry, SoftTimeLimitExceeded, add_hooks, task
from offload.testing import Pipeline
from pydantic import BaseModel, field_validator

how, where = sys.argv[1:]
parent, ended, armed = os.getpid(), [], []

def at_exit():
    if os.getpid() != parent:
        print("ran atexit", flush=True)

atexit.register(at_exit)

def leave():
    if how == "exception":
        raise ValueError("of the child")
    if how == "exit":
        sys.exit(7)
    if how == "message":
        sys.exit("cannot go on")
    if how == "thread":
        threading.Thread(target=lambda: time.sleep(0.2) or print("its thread has ended")).start()
    print("left")  # not flushed

def fork(place):
    if place != where or ended:
        return
    ended.append(None)
    child = os.fork()
    if child == 0:
        leave()
    else:
        ended[:] = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])]

class Forking(Hooks):
    def __getattribute__(self, name):
        if name in ("before_run", "after_run", "process_started", "invocation_ended"):
            return lambda *_: fork(name)
        return super().__getattribute__(name)

class Second(Hooks):
    def __getattribute__(self, name):
        if os.getpid() != parent and name in ("before_run", "after_run", "process_started", "invocation_ended"):
            print("another hook", flush=True)
        return super().__getattribute__(name)

class Checked(BaseModel):
    name: str

    @field_validator("name")
    @classmethod
    def check(cls, name):
        if armed:
            fork("validator")
        return name

add_hooks(Second())
add_hooks(Forking())
add_hooks(Second())

def work(thing: Checked) -> str:
    fork("function")
    if os.getpid() != parent:
        if thing.name != "0":
            print("ran another job", flush=True)
    return thing.name

async def work_async(thing: Checked) -> str:
    await asyncio.to_thread(lambda: None)
    fork("coroutine")
    return thing.name

function = work_async if where == "coroutine" else work
function.__name__ = "work"
job = task(retry=Retry(max_attempts=2))(function)
with Pipeline(job) as pipeline:
    pipeline.expect_dead_letters()
    jobs = [job.delay(Checked(name=str(number))) for number in range(3)]
    armed.append(None)
    pipeline.advance("30s")
    if os.getpid() != parent:
        print("went on", flush=True)
        os._exit(0)
    states = [(each.status().value, each.record().attempt) for each in jobs]
print(json.dumps([ended, states]))
"""
WAYS = {
    "return": (0, "left\n", ""),
    "exception": (1, "", "ValueError: of the child"),
    "exit": (7, "", ""),
    "message": (1, "", "cannot go on"),
    "thread": (0, "left\nits thread has ended\n", ""),
}
PLACES = ["coroutine", "before_run", "after_run", "process_started", "invocation_ended"]


@pytest.mark.parametrize(
    ("how", "where"),
    [
        *((how, "function") for how in WAYS),
        *(("return", place) for place in PLACES),
        *(("exit", place) for place in ("coroutine", "before_run", "after_run", "validator")),
    ],
)
def test_a_child_that_leaves_the_code_of_its_job_ends(tmp_path, how, where):
    code, printed, explained = WAYS[how]
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'shared'}{os.pathsep}{ROOT}"}
    done = subprocess.run(
        [sys.executable, program, how, where],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    *others, last = done.stdout.splitlines()
    assert (done.returncode, json.loads(last)) == (0, [[code], [["SUCCEEDED", 1]] * 3]), done.stderr
    assert others == printed.splitlines()
    assert explained in done.stderr


SHARED_LOOP = """
import asyncio, os, time
from offload.runtime.event_loop import run_in_event_loop
from offload.runtime.limits import SoftLimit

async def work():
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        await asyncio.to_thread(time.sleep, 0.1)
    return "woken"

print(run_in_event_loop(work, SoftLimit(5, 60), str))
"""


def test_a_child_that_leaves_a_coroutine_leaves_the_loop_of_its_parent_alone(tmp_path):
    """The two share the descriptor by which a thread wakes the loop; a child that closes its loop takes that away."""
    program = tmp_path / "program.py"
    program.write_text(SHARED_LOOP)
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'shared'}{os.pathsep}{ROOT}"}
    command = [sys.executable, program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (0, "woken\n"), done.stderr
