"""A worker that dies charges an attempt to the job it ran, and to no other; no death loses a job."""

from __future__ import annotations

import pytest

from offload import Retry, State
from offload.testing import Killed
from tests.runtime.scripted_task import ScriptedTask


def test_a_death_charges_the_job_that_ran_and_no_other(deploy):
    work = ScriptedTask(batch_size=10, retry=Retry(max_attempts=3))
    pipeline = deploy(work)
    work.on_run(1, pipeline.kill, of="6")
    jobs = [work.delay(str(number)) for number in range(10)]

    assert pipeline.poll() == 10

    assert [job.status() for job in jobs[:6]] == [State.SUCCEEDED] * 6
    assert jobs[6].status() is State.RUNNING

    pipeline.run_until_idle()

    assert [job.record().attempt for job in jobs] == [1, 1, 1, 1, 1, 1, 2, 1, 1, 1]
    assert all(job.status() is State.SUCCEEDED for job in jobs)
    # Job 6 came back in one batch with the three that had not started yet, and ran after them.
    assert work.runs[7:] == [("7", 1), ("8", 1), ("9", 1), ("6", 2)]


def test_a_job_that_kills_its_worker_again_takes_no_other_job_along(deploy):
    work = ScriptedTask(batch_size=10, retry=Retry(max_attempts=2))
    pipeline = deploy(work)
    work.on_every_run(pipeline.kill, of="killer")
    killer = work.delay("killer")
    pipeline.poll()
    pipeline.clock.advance(pipeline.task.settings.hard_limit * 6)

    others = [work.delay(str(number)) for number in range(9)]
    pipeline.poll()

    assert work.runs[-1] == ("killer", 2)
    assert [job.status() for job in others] == [State.SUCCEEDED] * 9

    pipeline.run_until_idle()

    record = killer.record()
    assert (record.state, record.attempt, record.error["type"]) == (State.FAILED, 2, "WorkerLost")
    assert len(pipeline.dead()) == 1


@pytest.mark.parametrize("attempts", [1, 2, 5])
def test_a_job_that_always_kills_its_worker_fails_after_its_attempts_and_can_be_redriven(deploy, attempts):
    work = ScriptedTask(retry=Retry(max_attempts=attempts))
    pipeline = deploy(work)
    work.on_every_run(pipeline.kill)
    job = work.delay("a")

    pipeline.run_until_idle()

    record = job.record()
    assert len(work.runs) == attempts
    assert (record.state, record.attempt, record.error["type"]) == (State.FAILED, attempts, "WorkerLost")
    assert len(pipeline.dead()) == 1

    pipeline.clock.advance(60)
    pipeline.redrive()
    pipeline.run_until_idle()

    assert work.attempts == [*range(1, attempts + 1)] * 2
    assert job.record().redrives == 1


def test_a_bare_message_whose_worker_dies_on_the_last_attempt_is_redriven_as_the_same_job(deploy):
    work = ScriptedTask(retry=Retry(max_attempts=1))
    pipeline = deploy(work)
    work.on_run(1, pipeline.kill)
    job_id = pipeline.send('{"payload": {"name": "a"}}')
    pipeline.run_until_idle()

    pipeline.clock.advance(60)
    pipeline.redrive()
    pipeline.run_until_idle()

    assert [record["id"] for record in pipeline.store.items()] == [job_id]
    assert pipeline.job(job_id).state is State.SUCCEEDED


def test_nobody_takes_a_job_over_before_its_lease_has_ended(deploy):
    work = ScriptedTask(timeout="1m", soft_timeout="30s")
    pipeline = deploy(work)
    work.on_run(1, pipeline.kill)
    job = work.delay("a")
    pipeline.poll()
    lease_until = pipeline.record(job.id)["lease_until"]

    pipeline.send(pipeline.waiting()[0].body)
    pipeline.drain()
    assert work.runs == [("a", 1)]

    pipeline.clock.advance_to(lease_until - 1)
    pipeline.drain()
    assert work.runs == [("a", 1)]

    pipeline.clock.advance(3)
    pipeline.drain()
    assert work.runs == [("a", 1), ("a", 2)]


def test_no_code_of_a_task_can_catch_its_own_death_by_mistake():
    assert not issubclass(Killed, Exception)
