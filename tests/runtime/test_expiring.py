"""A job that could not start in its time expires; one that has started does not."""

from __future__ import annotations

import json

import pytest

from offload import Retry, State
from tests.runtime.interference import NO_ANSWER, to_record
from tests.runtime.scripted_task import ScriptedTask, fail


@pytest.mark.parametrize("bare", [True, False])
def test_a_job_that_could_not_start_in_time_expires_without_an_attempt(deploy, bare):
    work = ScriptedTask()
    pipeline = deploy(work)
    if bare:
        job_id = pipeline.send(json.dumps({"payload": {}, "expires_at": pipeline.clock.now() + 60_000}))
    else:
        job_id = work.options(expires="1m").delay().id

    pipeline.clock.advance(60)
    pipeline.run_until_idle()

    assert work.runs == []
    assert pipeline.job(job_id).state is State.EXPIRED
    assert pipeline.job(job_id).attempt == 0
    assert pipeline.waiting() == pipeline.dead() == []


def test_a_job_that_has_started_does_not_expire_between_its_attempts(deploy):
    work = ScriptedTask(retry=Retry(max_attempts=2, base="10m", jitter=False))
    pipeline = deploy(work)
    work.on_run(1, fail)

    job = work.options(expires="1m").delay("a")
    pipeline.run_until_idle()

    assert work.attempts == [1, 2]
    assert job.status() is State.SUCCEEDED


def test_a_job_whose_only_claim_was_released_expires(deploy):
    # Given a claim whose answer was lost, and that was released because no time was left to run
    work = ScriptedTask(batch_size=2, retry=Retry(max_attempts=1), timeout="1m", soft_timeout="30s")
    pipeline = deploy(work)
    work.on_run(1, lambda: pipeline.clock.advance(45), of="slow")
    job, _slow = work.options(expires="1m").delay("a"), work.delay("slow")
    pipeline.store.fail("apply", NO_ANSWER, after=True, where=to_record(job.id))
    pipeline.poll()
    assert (job.status(), job.record().attempt) == (State.RUNNING, 0)

    # When the job is received after its time
    pipeline.clock.advance(20)
    pipeline.run_until_idle()

    # Then it does not run
    assert work.names == ["slow"]
    assert (job.status(), job.record().attempt) == (State.EXPIRED, 0)
    assert pipeline.waiting() == pipeline.dead() == []
