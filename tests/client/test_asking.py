"""What a handle or an id tells of a job: its result or why there is none, its end, and what came of a cancel."""

from __future__ import annotations

import asyncio
import copy
import pickle
from datetime import timedelta
from functools import partial

import pytest

from offload import (
    DefinitionError,
    JobCancelled,
    JobExpired,
    JobFailed,
    ResultExpired,
    ResultTimeout,
    State,
    Unavailable,
    UnknownJob,
)
from offload.client import Client
from tests.client.receipts import send


@pytest.fixture
def pipeline(deploy):
    return deploy(send)


# Results


def test_the_result_of_a_failed_job_says_why_there_is_none(pipeline):
    job = send.delay("nobody")
    pipeline.run_until_idle()

    with pytest.raises(JobFailed) as told:
        job.result(0)

    assert told.value.error["type"] == "Permanent"
    assert told.value.job_id == job.id


def test_the_result_of_a_cancelled_job_says_so(pipeline):
    job = send.delay("ann")
    job.cancel()
    pipeline.run_until_idle()

    with pytest.raises(JobCancelled):
        job.result(0)


def test_the_result_of_an_expired_job_says_so(pipeline):
    job = send.options(expires="1m").delay("ann")
    pipeline.clock.advance(61)
    pipeline.run_until_idle()

    with pytest.raises(JobExpired):
        job.result(0)


def test_a_result_can_be_read_for_a_week(pipeline):
    job = send.delay("ann")
    pipeline.drain()

    pipeline.clock.advance(7 * 86_400 - 1)
    assert job.result(0).to == "ann"
    pipeline.clock.advance(1)
    with pytest.raises(ResultExpired):
        job.result(0)
    assert job.status() is State.SUCCEEDED


# Waiting


TIMEOUTS = [(0, 0), (0.05, 50), (-3, 0), (30, 30_000), ("1m30s", 90_000), (timedelta(hours=1), 3_600_000)]


@pytest.mark.parametrize(("timeout", "milliseconds"), TIMEOUTS)
def test_waiting_gives_up_in_time_and_the_job_goes_on(pipeline, timeout, milliseconds):
    job = send.delay("ann")
    for wait in (job.result, partial(Client.wait, pipeline.client, job.id)):
        began_at = pipeline.clock.now()
        with pytest.raises(ResultTimeout, match=r"is PENDING after .*(it goes on|run_until_idle)") as told:
            wait(timeout=timeout)

        assert isinstance(told.value, TimeoutError)
        assert pipeline.clock.now() - began_at == milliseconds
    pipeline.drain()
    assert job.result(0).to == "ann"


@pytest.mark.parametrize("timeout", ["30", "soon", True, float("nan"), float("inf"), [30]])
def test_a_timeout_that_is_no_duration_is_refused_by_every_wait(pipeline, timeout):
    job = send.delay("ann")
    client = pipeline.client
    plain = partial(Client.wait, client, job.id)
    for wait in (job.wait, job.result, plain, partial(client.retry, job.id), partial(client.wait, job.id)):
        with pytest.raises(DefinitionError, match="timeout="):
            wait(timeout=timeout)
    for awaited in (job.await_, job.aresult, partial(client.await_, job.id), partial(client.aretry, job.id)):
        with pytest.raises(DefinitionError, match="timeout="):
            asyncio.run(awaited(timeout=timeout))


def test_waiting_looks_more_and_more_rarely_and_sees_the_end_soon(pipeline):
    job = send.delay("ann")
    pipeline.clock.call_at(pipeline.clock.now() + 60_000, pipeline.drain)
    pipeline.store.calls.clear()
    began_at = pipeline.clock.now()

    # The pipeline's own client would refuse a wait in which nothing runs.
    assert Client.wait(pipeline.client, job.id).state is State.SUCCEEDED

    assert pipeline.clock.now() - began_at <= 62_000
    assert len(pipeline.store.called("get")) < 45


# By id


def test_an_id_that_no_job_has_is_unknown(pipeline):
    client = pipeline.client

    for look in (client.job, client.wait, client.cancel, client.handle):
        with pytest.raises(
            UnknownJob, match=r"no job 'missing' in stack 'test'.*has no record until a worker receives it$"
        ):
            look("missing")


def test_a_handle_made_from_an_id_is_like_the_first_one(pipeline):
    job = send.delay("ann", 3)
    pipeline.drain()

    handle = pipeline.client.handle(job.id)

    assert (handle.task, handle.status()) == ("send", State.SUCCEEDED)
    assert handle.result(0) == {"number": 3, "to": "ann"}, "plain values: the result's type is the task's to know"
    assert handle == job
    assert repr(handle) == f"JobHandle(id={job.id!r}, task='send', created=None)", "it enqueued nothing"


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda _: send.options(id="a").delay("ann"), r"job 'a' cannot be pickled.*send handle.id, and call"),
        (lambda _: send.delay_many(["ann"]), r"handles of 1 job cannot be pickled.*send \[handle.id for"),
        (lambda pipeline: pipeline.client, r"a Client cannot be pickled: call Client.from_stack\(\) where"),
    ],
)
def test_what_stands_on_this_process_is_not_pickled_and_says_what_to_send(pipeline, made, said):
    with pytest.raises(TypeError, match=said):
        pickle.dumps(made(pipeline))


def test_a_copy_of_a_handle_is_the_handle(pipeline):
    job = send.delay("ann")
    assert copy.copy(job) is job
    assert copy.deepcopy({"job": job})["job"] is job


# Cancelling


def test_cancelling_says_what_came_of_it(pipeline):
    waiting = send.delay("ann")
    assert waiting.cancel().state is State.CANCELLED
    assert waiting.cancel().state is State.CANCELLED

    ended = send.delay("ann")
    pipeline.drain()
    assert ended.cancel().state is State.SUCCEEDED

    pipeline.store.port.change(ended.id, state="RUNNING")
    assert ended.cancel().cancel_requested_at == pipeline.clock.now()


def test_cancelling_gives_up_on_a_job_that_changes_at_every_write(pipeline):
    job = send.delay("ann")
    apply = pipeline.store.port.apply
    states = ["RUNNING", "PENDING"] * 100

    def change_first(write):
        pipeline.store.port.change(job.id, state=states.pop(0))
        return apply(write)

    pipeline.store.port.apply = change_first

    with pytest.raises(Unavailable, match="keeps changing"):
        job.cancel()


def test_a_handle_can_be_used_from_async_code(pipeline):
    async def produce():
        job = await send.adelay("ann")
        assert await job.astatus() is State.PENDING
        await asyncio.to_thread(pipeline.drain)
        assert (await job.aresult(0)).to == "ann"
        other = await send.options(id="b").adelay("bob")
        assert (await other.acancel()).state is State.CANCELLED
        with pytest.raises(JobCancelled):
            await other.aresult(0)

    asyncio.run(produce())
