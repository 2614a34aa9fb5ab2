"""A job is accepted with its message: what its handle says and does while the job has no record."""

from __future__ import annotations

import asyncio

import pytest

from offload import JobCancelled, ResultTimeout, State, Unavailable, UnknownJob
from offload.core.retention import LONGEST_DELAY
from tests.runtime.interference import just_before
from tests.runtime.scripted_task import ScriptedTask

DAY = 86_400


@pytest.fixture
def work():
    return ScriptedTask(priorities=("default", "high"))


@pytest.fixture
def pipeline(deploy, work):
    return deploy(work)


@pytest.fixture
def enqueue_without_record(pipeline, work):
    """Return a function that enqueues a job while the table does not answer."""

    def enqueue(**options):
        pipeline.store.fail("apply", Unavailable("down"))
        job = work.options(**options).delay("a")
        assert pipeline.store.items() == []
        return job

    return enqueue


def test_it_is_pending(enqueue_without_record):
    job = enqueue_without_record()

    record = job.record()

    assert (record.id, record.task, record.state, record.attempt) == (job.id, "work", State.PENDING, 0)
    assert record.describe() == {"id": job.id, "task": "work", "state": "PENDING", "attempt": 0}
    assert job.status() is asyncio.run(job.astatus()) is State.PENDING


def test_many_jobs_and_one_by_name_are_pending_too(pipeline, work):
    pipeline.store.fail("apply", Unavailable("down"), times=3)

    jobs = [*work.delay_many([("a",), ("b",)]), pipeline.client.enqueue("work", {"name": "c"})]

    assert [job.status() for job in jobs] == [State.PENDING] * 3


@pytest.mark.parametrize("timeout", [0, 3])
def test_it_can_be_waited_for(pipeline, enqueue_without_record, timeout):
    job = enqueue_without_record()
    began_at = pipeline.clock.now()

    with pytest.raises(ResultTimeout, match="is PENDING after"):
        job.result(timeout)
    assert pipeline.clock.now() - began_at == timeout * 1000

    pipeline.clock.call_at(pipeline.clock.now() + 5_000, pipeline.drain)
    assert job.wait(10).state is State.SUCCEEDED
    assert job.result(0) == "a"


# Cancelling


@pytest.mark.parametrize("delay", [None, "10m", "2h", "365d"])
def test_once_cancelled_it_never_starts(pipeline, work, enqueue_without_record, delay):
    job = enqueue_without_record(delay=delay)

    record = job.cancel()
    assert (record.state, record.task, record.attempt) == (State.CANCELLED, "work", 0)
    for _ in range(13):
        pipeline.clock.advance(30 * DAY)
        pipeline.store.sweep()
        pipeline.drain()

    assert work.runs == []
    assert pipeline.waiting() == pipeline.dead() == []
    assert job.status() is State.CANCELLED
    with pytest.raises(JobCancelled):
        job.result(0)


def test_the_record_of_a_cancel_outlives_the_longest_delay(pipeline, enqueue_without_record):
    job = enqueue_without_record()

    job.cancel()

    assert pipeline.record(job.id)["ttl"] * 1000 == pipeline.clock.now() + (LONGEST_DELAY + 35 * DAY) * 1000


def test_it_can_be_cancelled_twice_and_from_async_code(enqueue_without_record):
    job = enqueue_without_record()

    assert asyncio.run(job.acancel()) == job.cancel()


def test_a_cancel_never_replaces_a_record_that_appears_meanwhile(pipeline, work, enqueue_without_record):
    job = enqueue_without_record()

    def is_cancel_without_record(write):
        return write.set["state"] == "CANCELLED" and write.when[0][0].operator == "absent"

    just_before(pipeline.store, "apply", pipeline.drain, where=is_cancel_without_record)

    assert job.cancel().state is State.SUCCEEDED
    assert work.names == ["a"]


def test_a_record_that_comes_after_the_cancel_is_not_written(pipeline, work):
    just_before(pipeline.store, "apply", lambda: pipeline.client.cancel("mine", "work"))

    job = work.options(id="mine").delay("a")
    assert job.status() is State.CANCELLED
    pipeline.run_until_idle()

    assert work.runs == []


# Only its handle knows that it was accepted


def test_an_id_alone_is_no_promise(pipeline, enqueue_without_record):
    job, client = enqueue_without_record(), pipeline.client

    for look in (client.job, client.handle, client.wait, client.cancel, client.retry):
        with pytest.raises(UnknownJob):
            look(job.id)

    assert pipeline.store.items() == []


def test_a_handle_made_from_an_id_says_that_the_record_is_gone(pipeline, work):
    job = work.delay("a")
    handle = pipeline.client.handle(job.id)
    assert handle == job

    pipeline.store.port.delete(job.id)

    for look in (handle.status, handle.wait, handle.cancel, handle.retry):
        with pytest.raises(UnknownJob):
            look()


def test_the_item_of_a_key_is_no_job(pipeline, work):
    work.options(key="k").delay("a")

    for look in (pipeline.client.job, pipeline.client.cancel):
        with pytest.raises(UnknownJob):
            look("key#work#k", "work")
