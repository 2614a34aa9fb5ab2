"""A hook that raises, whatever and wherever, changes nothing of what it observes."""

from __future__ import annotations

import asyncio

import pytest

from offload import Retry, SoftTimeLimitExceeded, remove_hooks
from offload.testing import Pipeline
from tests.runtime.observing_hooks import METHODS, Raising, Recorder
from tests.runtime.scripted_task import ScriptedTask, fail, fail_for_good


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise SystemExit(1)


ERRORS = [ValueError("of the hook"), SystemExit(1), asyncio.CancelledError(), GeneratorExit(), Unspeakable()]


def play(pipeline, work):
    """Let happen what calls every method, and return what became of all jobs."""
    work.on_run(1, fail, of="fails once")
    work.on_every_run(fail_for_good, of="fails")
    work.on_run(1, pipeline.kill, of="kills its worker")
    work.on_run(1, lambda: work.delay("child"), of="parent")
    for name in ("succeeds", "fails once", "fails", "kills its worker", "parent"):
        work.delay(name)
    work.delay_many(["one", "two"])
    pipeline.send("no json")
    pipeline.run_until_idle()
    states = sorted((job.state, job.attempt, job.result, (job.error or {}).get("type")) for job in pipeline.jobs)
    return states, sorted(work.runs), [message.body for message in pipeline.dead()]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("method", METHODS)
def test_a_hook_that_raises_changes_no_outcome_and_no_call_of_the_others(deploy, register, worker_log, method, error):
    settings = {"retry": Retry(max_attempts=2, base="1s", jitter=False), "batch_size": 10}
    undisturbed = ScriptedTask(**settings)
    control = Recorder()
    register(control)
    expected = play(deploy(undisturbed), undisturbed)
    remove_hooks(control)

    before, raising, after = Recorder(), Raising(method, error), Recorder()
    register(before, raising, after)
    work = ScriptedTask(**settings)
    pipeline = deploy(work)
    outcome = play(pipeline, work)

    assert outcome == expected
    assert raising.called == control.calls.count(method) >= 1
    assert before.calls == after.calls == control.calls
    assert before.reports() == after.reports() == control.reports()
    told = [line for line in worker_log.lines if line["message"] == "a hook failed"]
    assert len(told) == raising.called
    assert {(line["level"], line["hook"], line["method"], line["exception_name"]) for line in told} == {
        ("ERROR", "Raising", method, type(error).__name__)
    }


def test_a_hook_of_the_worker_alone_that_raises_changes_nothing_either(register):
    recorder = Recorder()
    register(recorder)
    work = ScriptedTask()
    raising = [Raising(method, SystemExit(1)) for method in METHODS]

    with Pipeline(work, hooks=lambda _task: raising) as pipeline:
        job = work.delay("a")
        pipeline.drain()

    assert job.result(0) == "a"
    assert recorder.calls[2:] == ["process_started", "before_run", "after_run", "invocation_ended"]


def test_an_interrupt_from_the_keyboard_is_no_error_of_a_hook(deploy, register):
    work = ScriptedTask()
    pipeline = deploy(work)
    register(Raising("before_enqueue", KeyboardInterrupt()))

    with pytest.raises(KeyboardInterrupt):
        work.delay("a")

    assert pipeline.waiting() == []


@pytest.mark.parametrize(("method", "expected"), [("before_enqueue", "SoftTimeLimitExceeded"), ("before_run", None)])
def test_the_soft_limit_reaches_the_task_that_enqueues_through_its_hooks(deploy, register, method, expected):
    work = ScriptedTask(retry=Retry(max_attempts=1))
    pipeline = deploy(work)
    job = work.delay("parent")
    work.on_run(1, lambda: work.delay("child"), of="parent")

    register(Raising(method, SoftTimeLimitExceeded("the time is over")))
    pipeline.run_until_idle()

    assert (job.record().error or {}).get("type") == expected
