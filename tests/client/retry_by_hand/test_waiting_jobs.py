"""A job that waits for its next attempt starts at once when it is retried by hand."""

from __future__ import annotations

import asyncio
import json

import pytest

from offload import Refused, State, Unavailable
from offload.core.jobs.job import Job
from offload.core.ports import OutgoingMessage
from offload.core.writes import Conflict, Write
from tests.runtime.scripted_task import fail

HOUR = 3_600


@pytest.fixture
def waiting(pipeline, work):
    """A job that has failed at its first attempt and would succeed now. It has five hours to wait yet."""
    work.on_run(1, fail)
    job = work.delay("a")
    pipeline.drain()
    assert job.status() is State.RETRYING
    pipeline.clock.advance(HOUR)
    return job


def test_a_job_that_waits_runs_at_once(pipeline, work, waiting):
    pipeline.queues.calls.clear()
    pipeline.store.calls.clear()

    record = waiting.retry()
    assert (record.state, record.next_at, record.attempt) == (State.RETRYING, pipeline.clock.now(), 1)
    assert [name for name, _ in pipeline.store.calls] == ["get", "apply"]
    assert [name for name, _ in pipeline.queues.calls] == ["change_visibility"]
    pipeline.drain()

    assert waiting.result(0) == "a"
    assert work.attempts == [1, 2]
    assert waiting.record().redrives == 0


def test_it_can_be_retried_from_async_code(waiting):
    assert asyncio.run(waiting.aretry()).state is State.RETRYING


def test_where_its_message_waits_is_in_the_record_and_not_shown(pipeline, waiting):
    record = pipeline.record(waiting.id)
    (message,) = pipeline.waiting()
    assert record["waiting_message"] == {"queue": pipeline.queue(), "receipt": message.receipt}

    shown = str(waiting.record().describe()) + repr(Job.read(record))

    assert "waiting_message" not in shown
    assert message.receipt not in shown


@pytest.mark.parametrize("end", ["runs", "fails", "dies", "cancelled", "rejected", "retried"])
def test_where_its_message_waits_is_forgotten_when_the_wait_is_over(pipeline, work, waiting, end):
    before = pipeline.record(waiting.id)["waiting_message"]
    if end == "fails":
        work.on_run(2, fail)
    if end == "dies":
        work.on_run(2, pipeline.kill)

    if end == "cancelled":
        waiting.cancel()
    elif end == "rejected":
        pipeline.send(json.dumps({"id": waiting.id, "payload": {"nope": 1}}))
        pipeline.poll()
        assert waiting.status() is State.FAILED
    else:
        if end == "retried":
            waiting.retry()
            assert pipeline.record(waiting.id)["waiting_message"] == before
        pipeline.clock.advance(6 * HOUR)
        pipeline.poll()
        assert waiting.record().attempt == 2

    assert "waiting_message" not in pipeline.record(waiting.id)


@pytest.mark.parametrize("why", ["replaced", "visible", "refused"])
def test_a_message_that_is_not_in_flight_finds_its_job_due(pipeline, work, waiting, why):
    began_at = pipeline.clock.now()
    (message,) = pipeline.waiting()
    if why == "replaced":  # as when it would have been hidden for more than 12 hours
        pipeline.queues.delete(pipeline.queue(), message.receipt)
        pipeline.queues.send(pipeline.queue(), OutgoingMessage(message.body, delay=900))
    elif why == "visible":
        pipeline.queues.change_visibility(pipeline.queue(), message.receipt, 0)
    else:
        pipeline.queues.fail("change_visibility", Refused("not in flight"))

    assert waiting.retry().state is State.RETRYING
    pipeline.run_until_idle()

    assert waiting.result(0) == "a"
    assert work.attempts == [1, 2]
    if why != "refused":
        assert pipeline.clock.now() - began_at <= 900_000


def test_a_job_whose_record_does_not_say_where_its_message_waits_is_made_due(pipeline, waiting):
    pipeline.store.port.apply(Write(waiting.id, when=(), remove=("waiting_message",)))

    assert waiting.retry().next_at == pipeline.clock.now()
    pipeline.run_until_idle()

    assert waiting.result(0) == "a"


def test_a_service_that_does_not_answer_can_be_asked_again(pipeline, waiting):
    pipeline.queues.fail("change_visibility", Unavailable("down"))
    with pytest.raises(Unavailable):
        waiting.retry()

    waiting.retry()
    pipeline.drain()

    assert waiting.result(0) == "a"


def test_another_wait_than_the_one_that_was_read_is_left_alone(pipeline, waiting):
    """Between read and write the next attempt began and failed: the wait that was read is over."""
    get, reads = pipeline.store.port.get, []
    earlier = {"queue": "test-work", "receipt": "an earlier wait's"}

    def read_an_earlier_wait_first(job_id):
        reads.append(job_id)
        record = get(job_id)
        return {**record, "waiting_message": earlier} if len(reads) == 1 else record

    pipeline.store.port.get = read_an_earlier_wait_first
    pipeline.queues.calls.clear()
    waiting.retry()

    assert len(reads) == 2
    ((_, receipt, _),) = pipeline.queues.called("change_visibility")
    assert receipt == pipeline.record(waiting.id)["waiting_message"]["receipt"]


def test_retrying_gives_up_on_a_job_that_changes_at_every_write(pipeline, waiting):
    pipeline.store.fail("apply", Conflict({"state": "RETRYING"}), times=99)

    with pytest.raises(Unavailable, match="keeps changing"):
        waiting.retry()
