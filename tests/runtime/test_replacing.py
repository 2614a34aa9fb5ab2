"""A message that has been received too often is replaced by a copy of the same job, so that no job is dead-lettered.

SQS moves a message to the dead-letter queue after `maxReceiveCount` receives, whatever they were for, and hides a
message for 12 hours at most.
"""

from __future__ import annotations

import json

import pytest

from offload import Retry, State, Unavailable
from offload.core.messages.waiting import MAX_RECEIVES
from offload.core.ports import OutgoingMessage
from tests.runtime.interference import leave_receives, outage
from tests.runtime.scripted_task import ScriptedTask, fail, fail_for_good, run_again_in

HOUR, DAY = 3_600, 86_400
WAITS_12_HOURS = Retry(max_attempts=2, base="12h", cap="12h", jitter=False)
"""Longer than a message can be hidden, so the wait for the second attempt takes a copy."""


def receive_for_hours(pipeline, receives):
    """Let the worker receive a batch so many times, each time longer apart than a message waits after an error."""
    for _ in range(receives):
        pipeline.poll()
        pipeline.clock.advance(1_000)


def test_a_message_returned_too_often_is_replaced_and_not_dead_lettered(deploy):
    work = ScriptedTask(retry=Retry(max_attempts=2))
    pipeline = deploy(work)
    job = work.delay("a")

    with outage(pipeline.store):
        receive_for_hours(pipeline, 3 * MAX_RECEIVES)
    assert work.runs == []
    assert pipeline.dead() == []
    pipeline.run_until_idle()

    assert work.runs == [("a", 1)]
    assert job.record().attempt == 1


@pytest.mark.parametrize(
    "body", ['{"payload": {"name": "a"}}', '{"payload": {"name": "a"}, "id": null, "enqueued_at": null}']
)
def test_a_replaced_bare_message_stays_the_same_job(deploy, body):
    work = ScriptedTask(retry=WAITS_12_HOURS)
    pipeline = deploy(work)
    work.on_run(1, fail)

    job_id = pipeline.send(body)
    sent_at = pipeline.clock.now()
    pipeline.run_until_idle()

    assert [record["id"] for record in pipeline.store.items()] == [job_id]
    record = pipeline.job(job_id)
    assert (record.state, record.attempt, record.created_at) == (State.SUCCEEDED, 2, sent_at)
    assert pipeline.clock.now() - sent_at >= 12 * HOUR * 1000


def test_a_wait_of_many_days_takes_few_receives(deploy):
    work = ScriptedTask(retry=Retry(max_attempts=2))
    pipeline = deploy(work)
    work.on_run(1, run_again_in("30d"))
    job = work.delay("a")
    began_at = pipeline.clock.now()

    pipeline.run_until_idle()

    assert job.status() is State.SUCCEEDED
    assert pipeline.clock.now() - began_at == pytest.approx(30 * DAY * 1000, rel=0.001)
    assert len(pipeline.mapping().responses) < 150


@pytest.mark.parametrize("text", ["é" * 300_000, "\\ud800", "\\uffff", "\U0001f600" * 100_000])
def test_a_copy_is_no_larger_than_its_message(deploy, text):
    pipeline = deploy(ScriptedTask())
    body = f'{{"payload": {{}}, "note": "{text}"}}'
    pipeline.send(body)
    leave_receives(pipeline, 2)

    pipeline.poll()

    (copy,) = pipeline.waiting()
    assert "replaces" in json.loads(copy.body)
    assert json.loads(copy.body)["note"] == json.loads(body)["note"]
    assert len(copy.body.encode()) < len(body.encode()) + 300
    assert not set("\uffff\ufffe") & set(copy.body)


# A service does not answer meanwhile


def test_a_failed_job_whose_message_is_replaced_during_an_outage_does_not_run_again(deploy):
    work = ScriptedTask()
    pipeline = deploy(work)
    work.on_every_run(fail_for_good)
    job = work.delay("a")
    pipeline.poll()

    with outage(pipeline.store):
        receive_for_hours(pipeline, 200)
    assert pipeline.dead() == [], "it was replaced, since nobody could tell that its job has failed"
    pipeline.run_until_idle()

    assert len(work.runs) == 1
    assert job.status() is State.FAILED
    assert job.record().redrives == 0
    assert len(pipeline.dead()) == 1


def test_a_replaced_job_whose_worker_died_does_not_start_its_attempts_over(deploy):
    work = ScriptedTask(retry=Retry(max_attempts=2))
    pipeline = deploy(work)
    work.on_every_run(pipeline.kill)
    job = work.delay("a")
    pipeline.poll()
    pipeline.clock.advance(HOUR)

    with outage(pipeline.store):
        receive_for_hours(pipeline, MAX_RECEIVES + 5)
    pipeline.run_until_idle()

    assert work.attempts == [1, 2]
    assert (job.status(), job.record().redrives) == (State.FAILED, 0)


def test_a_copy_that_cannot_be_sent_leaves_the_message_where_it_is(deploy):
    work = ScriptedTask(retry=WAITS_12_HOURS)
    pipeline = deploy(work)
    work.on_every_run(fail)
    work.delay("a")

    pipeline.queues.fail("send", Unavailable("throttled"), times=3)
    pipeline.run_until_idle()

    assert len(work.runs) == 2
    assert len(pipeline.dead()) == 1


def test_a_crash_between_copy_and_acknowledgement_leaves_two_messages_of_one_job(deploy):
    work = ScriptedTask(retry=WAITS_12_HOURS)
    pipeline = deploy(work)
    work.on_run(1, fail)
    work.delay("a")
    batch = pipeline.queues.receive(pipeline.queue(), limit=1, visibility=360)
    pipeline.mapping().invoke(batch)

    pipeline.queues.send(pipeline.queue(), OutgoingMessage(batch[0].body))  # as if the original were still there
    pipeline.run_until_idle()

    assert work.attempts == [1, 2]
    assert pipeline.waiting() == []
