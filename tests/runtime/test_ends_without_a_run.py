"""Hooks and logs are told, once, of every end that a worker records without a run."""

from __future__ import annotations

from offload import State
from tests.runtime.scripted_task import ScriptedTask


def test_hooks_are_told_of_a_job_that_expired(deploy, recorder, worker_log):
    # Given a job whose time is over before it starts
    work = ScriptedTask()
    pipeline = deploy(work)
    job = work.options(expires="1m").delay("a")
    body = pipeline.waiting()[0].body
    pipeline.clock.advance(61)

    # When its message is received, and then a copy of the message
    pipeline.run_until_idle()
    pipeline.send(body)
    pipeline.run_until_idle()

    # Then the hooks are told of one end
    assert recorder.of("ended_without_run") == [("work", job.id, State.EXPIRED, None)]
    assert worker_log.line("job ended without a run")["state"] == "EXPIRED"
    assert worker_log.line("duplicate message of an ended job dropped")["state"] == "EXPIRED"
    assert recorder.of("after_run") == []


def test_hooks_are_told_of_a_job_that_was_asked_to_stop_and_whose_worker_died(deploy, recorder, worker_log):
    # Given a job that was asked to stop, and whose worker has died before it could
    work = ScriptedTask()
    pipeline = deploy(work)
    job = work.delay("a")
    body = pipeline.waiting()[0].body
    work.on_run(1, job.cancel)
    work.on_run(1, pipeline.kill)

    # When its message is received once more, and then a copy of the message
    pipeline.run_until_idle()
    pipeline.send(body)
    pipeline.run_until_idle()

    # Then the hooks are told of one end
    assert recorder.of("ended_without_run") == [("work", job.id, State.CANCELLED, None)]
    assert worker_log.line("job ended without a run")["state"] == "CANCELLED"
    assert recorder.of("after_run") == [], "a dead process tells nobody"


def test_hooks_are_told_of_no_end_when_the_job_was_cancelled_by_its_producer(deploy, recorder):
    work = ScriptedTask()
    pipeline = deploy(work)
    job = work.delay("a")

    job.cancel()
    pipeline.run_until_idle()

    assert job.status() is State.CANCELLED
    assert recorder.of("ended_without_run") == []
