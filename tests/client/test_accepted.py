"""A job is accepted with its message: what its handle says and does while there is no record of it."""

from __future__ import annotations

import asyncio

import pytest

from offload import JobCancelled, ResultTimeout, State, Unavailable, UnknownJob, task
from offload.core.producing import MOST_DELAY

DAY = 86_400


@pytest.fixture
def runs():
    return []


@pytest.fixture
def work(runs):
    @task(priorities=("default", "high"))
    def work(name: str = "") -> str:
        runs.append(name)
        return name

    return work


@pytest.fixture
def world(stage, work):
    return stage(work)


def unrecorded(world, job, **options):
    """Enqueue while the table does not answer."""
    world.store.fail("apply", Unavailable("down"))
    handle = job.options(**options).delay("a")
    assert world.store.items() == []
    return handle


def test_it_is_pending(world, work):
    job = unrecorded(world, work)
    record = job.record()
    assert (record.id, record.task, record.state, record.attempt) == (job.id, "work", State.PENDING, 0)
    assert record.describe() == {"id": job.id, "task": "work", "state": "PENDING", "attempt": 0}
    assert job.status() is asyncio.run(job.astatus()) is State.PENDING


@pytest.mark.parametrize("timeout", [0, 3])
def test_it_is_waited_for(world, work, timeout):
    job = unrecorded(world, work)
    begin = world.clock.now()
    with pytest.raises(ResultTimeout, match="is PENDING after"):
        job.result(timeout)
    assert world.clock.now() - begin == timeout * 1000
    world.clock.call_at(world.clock.now() + 5_000, world.drain)
    assert job.wait(10).state is State.SUCCEEDED
    assert job.result(0) == "a"


@pytest.mark.parametrize("delay", [None, "10m", "2h", "365d"])
def test_cancelled_it_never_starts(world, work, runs, delay):
    job = unrecorded(world, work, delay=delay)
    record = job.cancel()
    assert (record.state, record.task, record.attempt) == (State.CANCELLED, "work", 0)
    for _ in range(13):
        world.clock.advance(30 * DAY)
        world.store.sweep()
        world.drain()
    assert runs == []
    assert world.waiting() == world.dead() == []
    assert job.status() is State.CANCELLED
    with pytest.raises(JobCancelled):
        job.result(0)


def test_the_cancel_outlives_every_delay_by_the_life_of_a_record(world, work):
    job = unrecorded(world, work)
    job.cancel()
    assert world.item(job.id)["ttl"] * 1000 == world.clock.now() + (MOST_DELAY + 35 * DAY) * 1000


def test_cancelled_twice_and_asynchronously(world, work):
    job = unrecorded(world, work)
    assert asyncio.run(job.acancel()) == job.cancel()


def test_a_cancel_never_replaces_a_record_that_appears_meanwhile(world, work, runs):
    job = unrecorded(world, work)
    original = world.store.port.apply

    def meanwhile(write):
        if write.set["state"] == "CANCELLED" and write.when[0][0].operator == "absent":
            world.store.port.apply = original
            world.drain()
        return original(write)

    world.store.port.apply = meanwhile
    assert job.cancel().state is State.SUCCEEDED
    assert runs == ["a"]


def test_a_record_that_comes_after_the_cancel_is_not_written(world, work, runs):
    original = world.store.port.apply
    handles = []

    def cancel_first(write):
        world.store.port.apply = original
        handles.append(world.client.cancel(write.id, "work"))
        return original(write)

    world.store.port.apply = cancel_first
    job = work.delay("a")
    assert job.status() is State.CANCELLED
    world.run_until_idle()
    assert runs == []


def test_many_and_by_name(world, work):
    world.store.fail("apply", Unavailable("down"), times=3)
    jobs = [*work.delay_many([("a",), ("b",)]), world.client.enqueue("work", {"name": "c"})]
    assert [job.status() for job in jobs] == [State.PENDING] * 3


def test_an_id_alone_is_no_promise(world, work):
    job = unrecorded(world, work)
    for look in (world.client.job, world.client.handle, world.client.wait, world.client.cancel, world.client.retry):
        with pytest.raises(UnknownJob):
            look(job.id)
    assert world.store.items() == []


def test_a_handle_by_id_whose_record_is_gone_says_so(world, work):
    job = work.delay("a")
    handle = world.client.handle(job.id)
    assert handle == job
    world.store.port._items.clear()
    for look in (handle.status, handle.wait, handle.cancel, handle.retry):
        with pytest.raises(UnknownJob):
            look()


def test_a_keys_item_is_no_job_of_anybody(world, work):
    work.options(key="k").delay("a")
    with pytest.raises(UnknownJob):
        world.client.job("key#work#k", "work")
    with pytest.raises(UnknownJob):
        world.client.cancel("key#work#k", "work")
