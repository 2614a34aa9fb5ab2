"""A cancelled job that waits never starts; one that runs can see the cancel, and gets no further attempt."""

from __future__ import annotations

import pytest

from offload import Retry, State, Unavailable, current_job
from tests.runtime.interference import to_state
from tests.runtime.scripted_task import ScriptedTask, fail

DAY = 86_400


def test_a_cancelled_job_that_waits_never_starts(deploy):
    work = ScriptedTask()
    pipeline = deploy(work)
    job = work.delay("a")

    assert job.cancel().state is State.CANCELLED
    pipeline.run_until_idle()

    assert work.runs == []
    assert job.status() is State.CANCELLED
    assert pipeline.dead() == []


def test_a_job_cancelled_between_attempts_does_not_run_again(deploy):
    work = ScriptedTask(retry=Retry(max_attempts=5, base="1h", jitter=False))
    pipeline = deploy(work)
    work.on_every_run(fail)
    job = work.delay("a")
    pipeline.drain()
    assert job.status() is State.RETRYING

    assert job.cancel().state is State.CANCELLED
    pipeline.run_until_idle()

    assert len(work.runs) == 1
    assert pipeline.waiting() == pipeline.dead() == []
    assert "idx" not in pipeline.record(job.id)
    assert pipeline.states(job.id) == ["PENDING/0", "RUNNING/1", "RETRYING/1", "CANCELLED/1"]


def test_a_job_cancelled_before_a_distant_start_never_starts(deploy):
    work = ScriptedTask()
    pipeline = deploy(work)
    job = work.options(delay="300d").delay("a")

    job.cancel()
    pipeline.clock.advance(100 * DAY)
    pipeline.store.sweep()
    pipeline.run_until_idle()

    assert work.runs == []


@pytest.mark.parametrize(
    ("run", "state"), [("returns", State.SUCCEEDED), ("fails", State.CANCELLED), ("dies", State.CANCELLED)]
)
def test_a_running_job_sees_the_cancel_and_gets_no_further_attempt(deploy, run, state):
    work = ScriptedTask(retry=Retry(max_attempts=3, base="1s"))
    pipeline = deploy(work)
    seen = []

    def be_cancelled():
        seen.append(current_job().cancelled)
        pipeline.client.cancel(current_job().id)
        pipeline.clock.advance(1)
        seen.append(current_job().cancelled)

    work.on_every_run(be_cancelled)
    work.on_every_run({"returns": lambda: None, "fails": fail, "dies": pipeline.kill}[run])
    job = work.delay("a")
    pipeline.run_until_idle()

    assert seen == [False, True]
    assert job.status() is state
    assert pipeline.dead() == []


def test_a_job_looks_for_a_cancel_once_a_second(deploy):
    work = ScriptedTask()
    pipeline = deploy(work)

    def look_for_four_seconds():
        for _ in range(40):
            assert not current_job().cancelled
            pipeline.clock.advance(0.1)

    work.on_run(1, look_for_four_seconds)
    job = work.delay("a")
    pipeline.store.calls.clear()
    pipeline.poll()

    assert len(pipeline.store.called("get")) == 3
    assert job.status() is State.SUCCEEDED


def test_a_cancel_that_comes_while_a_failed_attempt_cannot_be_recorded_is_heeded(deploy):
    work = ScriptedTask(retry=Retry(max_attempts=3))
    pipeline = deploy(work)
    work.on_every_run(fail)
    job = work.delay("a")

    def cancel_meanwhile(write):
        return to_state("RETRYING")(write) and bool(job.cancel())

    pipeline.store.fail("apply", Unavailable("throttled"), where=cancel_meanwhile)
    pipeline.poll()

    assert job.status() is State.CANCELLED
    assert pipeline.waiting() == pipeline.dead() == []


def test_a_redriven_job_is_not_cancelled_any_more(deploy):
    work = ScriptedTask(retry=Retry(max_attempts=1))
    pipeline = deploy(work)
    seen = []

    def be_cancelled_and_fail():
        pipeline.client.cancel(current_job().id)
        seen.append(current_job().cancelled)
        fail()

    work.on_run(1, be_cancelled_and_fail)
    work.on_run(2, lambda: seen.append(current_job().cancelled))
    job = work.delay("a")
    pipeline.run_until_idle()
    assert job.status() is State.FAILED

    pipeline.clock.advance(60)
    pipeline.redrive()
    pipeline.run_until_idle()

    assert seen == [False, False]
    assert job.status() is State.SUCCEEDED
