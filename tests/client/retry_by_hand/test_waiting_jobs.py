"""A job that waits for its next attempt starts at once when it is retried by hand and a timer has its message."""

from __future__ import annotations

import asyncio
import json

import pytest

from offload import Refused, Retry, State, Unavailable
from offload.core.messages.waiting import timer_name
from offload.core.writes import Conflict, Write
from tests.runtime.interference import right_after
from tests.runtime.scripted_task import ScriptedTask, fail, fail_for_good, run_again_in

HOUR = 3_600


@pytest.fixture
def waiting(pipeline, work):
    """A job that has failed at its first attempt and would succeed now. It has five hours to wait yet."""
    work.on_run(1, fail)
    job = work.delay("a")
    pipeline.drain()
    assert job.status() is State.RETRYING
    assert pipeline.waiting() == []
    pipeline.clock.advance(HOUR)
    return job


def calls(port):
    return [name for name, _ in port.calls]


def test_a_job_whose_message_a_timer_has_runs_at_once(pipeline, work, waiting):
    for port in (pipeline.queues, pipeline.store, pipeline.timers):
        port.calls.clear()

    record = waiting.retry()
    assert (record.state, record.next_at, record.attempt) == (State.RETRYING, pipeline.clock.now(), 1)
    assert calls(pipeline.store) == ["get", "apply"]
    assert calls(pipeline.timers) == ["get", "delete"]
    assert calls(pipeline.queues) == ["send"]
    assert pipeline.timers.port.waiting() == {}
    pipeline.drain()

    assert waiting.result(0) == "a"
    assert work.attempts == [1, 2]
    assert waiting.record().redrives == 0


def test_it_can_be_retried_from_async_code(waiting):
    assert asyncio.run(waiting.aretry()).state is State.RETRYING


def test_a_message_that_is_sent_before_its_timer_stays_in_the_fairness_group_of_its_tenant(deploy):
    work = ScriptedTask(retry=Retry(max_attempts=2, base="6h", cap="6h", jitter=False))
    pipeline = deploy(work)
    work.on_run(1, fail)
    job = work.options(tenant="acme").delay("a")
    pipeline.drain()

    job.retry()

    assert [message.group for message in pipeline.waiting()] == ["acme"]


@pytest.mark.parametrize("delay", ["1s", "59s", "5m", "15m"])
def test_a_wait_in_the_queue_is_not_cut_and_the_caller_learns_when_it_ends(pipeline, work, delay):
    work.on_run(1, run_again_in(delay))
    job = work.delay("a")
    pipeline.drain()
    due = job.record().next_at
    assert "timer_until" not in pipeline.record(job.id)

    record = job.retry()

    assert (record.state, record.next_at) == (State.RETRYING, due)
    pipeline.run_until_idle()
    assert job.result(0) == "a"
    assert pipeline.clock.now() - due < 1_000


def test_a_long_wait_whose_timer_could_not_be_set_ends_within_15_minutes(pipeline, work):
    work.on_run(1, fail)
    job = work.delay("a")
    pipeline.timers.fail("send_at", Refused("no permission"))
    pipeline.drain()
    assert len(pipeline.waiting()) == 1
    retried_at = pipeline.clock.now()

    assert job.retry().next_at == retried_at + 900_000  # at the latest
    assert job.record().next_at == retried_at
    pipeline.run_until_idle()

    assert job.result(0) == "a"
    assert pipeline.clock.now() - retried_at <= 900_000


@pytest.mark.parametrize("end", ["runs", "fails", "dies", "cancelled", "rejected"])
def test_the_timer_is_forgotten_when_the_wait_is_over(pipeline, work, waiting, end):
    assert pipeline.record(waiting.id)["timer_until"] == waiting.record().next_at
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
        pipeline.clock.advance(6 * HOUR)
        pipeline.drain()
        assert waiting.record().attempt == 2

    assert "timer_until" not in pipeline.record(waiting.id)


def test_a_timer_that_has_fired_finds_its_job_due(pipeline, work, waiting):
    pipeline.timers.port.delete(timer_name(waiting.task, waiting.id, waiting.record().next_at))
    pipeline.send(json.dumps({"id": waiting.id, "payload": {"name": "a"}}))

    assert waiting.retry().next_at == pipeline.clock.now() + 900_000  # nobody can tell that it is there already
    pipeline.drain()

    assert waiting.result(0) == "a"


def test_a_timer_that_could_not_be_deleted_sends_a_message_that_is_dropped(pipeline, work, waiting):
    pipeline.timers.fail("delete", Unavailable("down"))
    with pytest.raises(Unavailable):
        waiting.retry()
    pipeline.run_until_idle()

    assert waiting.result(0) == "a"
    assert work.attempts == [1, 2]
    assert pipeline.dead() == []


def test_a_timer_that_could_not_be_deleted_does_not_start_a_job_again_that_has_failed(pipeline, work, waiting):
    """Its message is sent after the failure, as a redriven one is."""
    work.on_run(2, fail_for_good)
    pipeline.timers.fail("delete", Unavailable("down"))
    with pytest.raises(Unavailable):
        waiting.retry()
    pipeline.run_until_idle()

    assert work.attempts == [1, 2]
    assert (waiting.status(), waiting.record().redrives) == (State.FAILED, 0)
    assert {letter.job_id for letter in pipeline.dead_letters()} == {waiting.id}


@pytest.mark.parametrize(("port", "method"), [("timers", "get"), ("queues", "send"), ("timers", "delete")])
def test_a_service_that_does_not_answer_can_be_asked_again(pipeline, waiting, port, method):
    getattr(pipeline, port).fail(method, Unavailable("down"))
    with pytest.raises(Unavailable):
        waiting.retry()

    waiting.retry()
    pipeline.drain()

    assert waiting.result(0) == "a"


def test_another_wait_than_the_one_that_was_read_is_left_alone(pipeline, work, waiting):
    """Between read and write the next attempt began and failed: the wait that was read is over."""

    def change():
        pipeline.store.port.apply(Write(waiting.id, when=(), add={"attempt": 1}, set={"next_at": 10**14}))

    right_after(pipeline.store, "get", change)
    waiting.retry()

    reads = pipeline.store.called("get")
    assert len(reads) >= 2


def test_retrying_gives_up_on_a_job_that_changes_at_every_write(pipeline, waiting):
    pipeline.store.fail("apply", Conflict({"state": "RETRYING"}), times=99)

    with pytest.raises(Unavailable, match="keeps changing"):
        waiting.retry()
