"""However often a message arrives, its job runs once."""

from __future__ import annotations

import pytest

from offload import Retry, State
from tests.runtime.scripted_task import ScriptedTask, fail

BODY = '{"id": "job-1", "payload": {"name": "a"}}'
DAY = 86_400


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("copies", [2, 5])
def test_copies_of_a_message_run_once(deploy, copies, together):
    work = ScriptedTask()
    pipeline = deploy(work)

    for _ in range(copies):
        pipeline.send(BODY)
        if not together:
            pipeline.drain()
    pipeline.run_until_idle()

    assert work.runs == [("a", 1)]
    assert pipeline.job("job-1").state is State.SUCCEEDED
    assert pipeline.waiting() == pipeline.dead() == []


@pytest.mark.parametrize("days", [0, 1, 14, 27])
def test_a_late_copy_of_an_ended_job_is_dropped_as_long_as_a_message_can_live(deploy, days):
    work = ScriptedTask()
    pipeline = deploy(work)
    job = work.delay("a")
    body = pipeline.waiting()[0].body
    pipeline.run_until_idle()

    pipeline.clock.advance(days * DAY)
    pipeline.store.sweep()
    pipeline.send(body)
    pipeline.run_until_idle()

    assert work.runs == [("a", 1)]
    assert job.record().attempt == 1


def test_a_batch_whose_response_was_lost_is_delivered_again_and_does_not_run_again(deploy):
    work = ScriptedTask()
    pipeline = deploy(work)
    work.delay("a")
    batch = pipeline.queues.receive(pipeline.queue(), limit=1, visibility=60)

    pipeline.mapping().invoke(batch)
    pipeline.mapping().invoke(batch)

    assert work.runs == [("a", 1)]


def test_a_copy_of_a_running_job_waits_for_the_lease_and_is_not_acknowledged(deploy):
    work = ScriptedTask(timeout="1m")
    pipeline = deploy(work)
    job = work.delay("a")
    body = pipeline.waiting()[0].body

    def deliver_a_copy():
        pipeline.send(body)
        pipeline.poll()
        _original, later = pipeline.waiting()
        # Had the second message been acknowledged without another, the death of this worker would lose the job.
        assert later.visible_at >= pipeline.record(job.id)["lease_until"]

    work.on_run(1, deliver_a_copy)
    pipeline.drain()
    pipeline.run_until_idle()

    assert work.runs == [("a", 1)]
    assert job.record().attempt == 1
    assert job.status() is State.SUCCEEDED


def test_copies_of_a_failing_job_share_its_attempts(deploy):
    work = ScriptedTask(retry=Retry(max_attempts=3, base="10s"))
    pipeline = deploy(work)
    work.on_every_run(fail)

    for _ in range(3):
        pipeline.send(BODY)
    pipeline.run_until_idle()

    assert work.attempts == [1, 2, 3]
    assert pipeline.job("job-1").attempt == 3
    # Each copy lies in the dead-letter queue. A redrive of one runs the job, and the others find it ended.
    assert len(pipeline.dead()) == 3
