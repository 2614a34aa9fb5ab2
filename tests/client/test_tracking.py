"""Jobs with `track="start"`: one request enqueues them, and nothing is known of them before a worker starts them."""

from __future__ import annotations

import pytest

from offload import JobCancelled, JobExpired, State, UnknownJob, task
from offload.core.manifest import Manifest
from offload.operate.listing import list_jobs
from tests.client.receipts import send

ran = []


@task(track="start", key_window="2h")
def ping(number: int) -> int:
    ran.append(number)
    return number


@pytest.fixture
def pipeline(deploy):
    ran.clear()
    return deploy(ping, send)


def test_enqueueing_takes_one_request(pipeline):
    job = ping.delay(1)
    assert [name for name, _ in pipeline.queues.calls] == ["send"]
    assert not pipeline.store.calls

    assert job.status() is State.PENDING
    with pytest.raises(UnknownJob):
        pipeline.client.job(job.id)
    pipeline.drain()
    assert job.result(0) == 1
    assert pipeline.states(job.id) == ["PENDING/0", "RUNNING/1", "SUCCEEDED/1"]


def test_the_deployed_setting_decides_by_name_too_unless_the_call_says_otherwise(pipeline):
    assert Manifest.load(pipeline.manifest.dump()).tasks["ping"]["track"] == "start"
    pipeline.client.enqueue("ping", {"number": 1})
    pipeline.client.enqueue_many("ping", [{"number": 2}])
    assert not pipeline.store.calls
    tracked = ping.options(track="enqueue").delay(3)
    assert pipeline.client.job(tracked.id).state is State.PENDING
    assert send.options(track="start").delay("ann").status() is State.PENDING
    assert len(pipeline.store.items()) == 1


@pytest.mark.parametrize("delay", ["5m", "2h"])
def test_a_delayed_job_is_not_listed(pipeline, delay):
    job = ping.options(delay=delay).delay(1)
    assert list_jobs(pipeline.client) == []
    assert job.status() is State.PENDING
    pipeline.run_until_idle()
    assert job.result(0) == 1


def test_a_job_that_is_cancelled_by_its_handle_never_starts(pipeline):
    job = ping.delay(1)
    job.cancel()
    pipeline.run_until_idle()
    with pytest.raises(JobCancelled):
        job.result(0)
    assert ran == []


def test_a_job_that_could_not_start_in_time_expires(pipeline):
    job = ping.options(expires="1m").delay(1)
    pipeline.clock.advance(61)
    pipeline.run_until_idle()
    with pytest.raises(JobExpired):
        job.result(0)
    assert ran == []


def test_an_id_that_is_another_tasks_is_seen_by_the_worker(pipeline):
    mine, other = ping.options(id="a").delay(1), send.options(id="a", track="start").delay("ann")
    pipeline.run_until_idle()
    assert len(pipeline.dead("ping")) + len(pipeline.dead("send")) == 1
    states = {record["task"]: record["state"] for record in pipeline.store.items()}
    assert sorted(states.values()) == ["FAILED", "SUCCEEDED"]
    assert mine.id == other.id


def test_a_key_still_names_one_job(pipeline):
    first, second = [ping.options(key="k").delay(1) for _ in range(2)]
    assert (first.id, second.created) == (second.id, False)
    (key,) = pipeline.store.items()
    assert key["until"] == pipeline.clock.now() + 7_200_000
    pipeline.run_until_idle()
    assert ran == [1]
