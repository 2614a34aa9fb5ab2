"""A service that does not do what it was asked delays a message, and neither loses it nor holds up its batch."""

from __future__ import annotations

import pytest

from offload import Retry, State, Unavailable
from offload.testing.event_source import Context, event_record
from tests.runtime.interference import outage, to_record
from tests.runtime.scripted_task import ScriptedTask, fail_for_good


def test_the_wait_after_a_service_error_grows_with_the_receives_and_is_bounded(deploy):
    work = ScriptedTask(retry=Retry(max_attempts=10))
    pipeline = deploy(work)
    work.delay("a")
    waits = []

    with outage(pipeline.store):
        for _ in range(12):
            pipeline.poll()
            (message,) = pipeline.waiting()
            waits.append((message.visible_at - pipeline.clock.now()) / 1000)
            pipeline.clock.advance_to(message.visible_at)

    bounds = [min(900, 2**receives) for receives in [1, 2, 3, 4, 5, 6, 7, 9, 10, 10, 10, 10]]
    assert all(bound / 2 <= wait <= bound + 1 for wait, bound in zip(waits, bounds, strict=True))


def test_a_message_whose_visibility_cannot_be_changed_comes_back_by_itself(deploy, service_error):
    work = ScriptedTask(retry=Retry(max_attempts=2))
    pipeline = deploy(work)
    work.on_every_run(fail_for_good)
    job = work.delay("a")
    began_at = pipeline.clock.now()

    pipeline.queues.fail("change_visibility", service_error, times=50)
    pipeline.poll()
    assert [message.visible_at for message in pipeline.waiting()] == [began_at + 360_000]
    pipeline.run_until_idle()

    assert work.attempts == [1]
    assert job.status() is State.FAILED
    assert len(pipeline.dead()) == 1


def test_a_rejection_that_could_not_be_recorded_is_tried_again(deploy):
    pipeline = deploy(ScriptedTask())
    job_id = pipeline.send("no json")

    pipeline.store.fail("apply", Unavailable("throttled"), times=2)
    pipeline.run_until_idle()

    assert pipeline.job(job_id).error["type"] == "MessageError"
    assert [message.body for message in pipeline.dead()] == ["no json"]


def test_a_poison_body_reaches_the_dead_letter_queue_unchanged_although_the_table_never_answers(deploy):
    pipeline = deploy(ScriptedTask())
    pipeline.send("no json")

    with outage(pipeline.store):
        pipeline.run_until_idle()

    assert [message.body for message in pipeline.dead()] == ["no json"]


def test_one_job_whose_record_cannot_be_written_does_not_hold_up_its_batch(deploy):
    work = ScriptedTask(batch_size=10)
    pipeline = deploy(work)
    jobs = [work.delay(name) for name in "abc"]

    with outage(pipeline.store, where=to_record(jobs[0].id)):
        pipeline.poll()

    assert [job.status() for job in jobs] == [State.PENDING, State.SUCCEEDED, State.SUCCEEDED]
    (response,) = pipeline.mapping().responses
    assert [failure["itemIdentifier"] for failure in response["batchItemFailures"]] == [
        message.message_id for message in pipeline.waiting()
    ]


def test_a_defect_of_the_worker_fails_its_message_only(deploy, worker_log):
    work = ScriptedTask(batch_size=10)
    pipeline = deploy(work)
    jobs = [work.delay(name) for name in "ab"]
    hit = pipeline.waiting()[0].message_id

    pipeline.store.fail("apply", ZeroDivisionError("a defect"), where=to_record(jobs[0].id))
    pipeline.poll()

    assert [job.status() for job in jobs] == [State.PENDING, State.SUCCEEDED]
    line = worker_log.line("the worker failed on a message")
    assert (line["level"], line["message_id"], line["exception_name"]) == ("CRITICAL", hit, "ZeroDivisionError")

    pipeline.clock.advance(work.settings.hard_limit * 6)
    pipeline.drain()

    assert jobs[0].status() is State.SUCCEEDED


def test_a_record_without_the_attributes_of_a_receive_fails_alone(deploy, worker_log):
    work = ScriptedTask(batch_size=10)
    pipeline = deploy(work)
    jobs = [work.delay(name) for name in "ab"]
    batch = pipeline.queues.receive(pipeline.queue(), limit=10, visibility=360)
    records = [event_record(pipeline.queue(), message) for message in batch]
    del records[0]["attributes"]["SentTimestamp"]

    context = Context("work", pipeline.clock, pipeline.clock.now() + 60_000)
    response = pipeline.worker()({"Records": records}, context)

    assert response == {"batchItemFailures": [{"itemIdentifier": batch[0].message_id}]}
    assert [job.status() for job in jobs] == [State.PENDING, State.SUCCEEDED]
    assert worker_log.line("the worker failed on a message")["message_id"] == batch[0].message_id


@pytest.mark.parametrize("event", [{}, {"Records": []}, {"detail": {}}])
def test_an_event_that_is_no_batch_is_an_error(deploy, event):
    pipeline = deploy(ScriptedTask())
    context = Context("work", pipeline.clock, pipeline.clock.now() + 60_000)

    with pytest.raises(Exception, match="Unexpected batch event type"):
        pipeline.worker()(event, context)
