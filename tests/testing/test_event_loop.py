"""The time of an asynchronous task in a test is virtual, limits included, unless the task waits for something real."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from offload import Retry, SoftTimeLimitExceeded, State, current_job, task
from offload.testing import Eager, Faults, Pipeline

ONCE = Retry(max_attempts=1)
DAY = 86_400


def run(function, *, mode=Pipeline, failing=False, **settings):
    """Run a job of an async function; returns its handle, the pipeline, and the virtual seconds that it took."""
    work = task(retry=ONCE, timeout="15m", **settings)(function)
    with mode(work) as deployed:
        if failing:
            deployed.expect_dead_letters()
        began, began_real = deployed.clock.now(), time.monotonic()
        job = work.delay()
        deployed.run_until_idle()
        job.wait()
        assert time.monotonic() - began_real < 5, "it took real time"
        return job, (deployed.clock.now() - began) / 1000


async def sleeps():
    began = asyncio.get_running_loop().time()
    await asyncio.sleep(45.5)
    return asyncio.get_running_loop().time() - began


@pytest.mark.parametrize("mode", [Eager, Pipeline])
def test_a_sleep_takes_virtual_time(mode):
    job, took = run(sleeps, mode=mode)
    assert (job.result(), took) == (pytest.approx(45.5), 45.5)


def test_sleeps_at_once_take_as_long_as_the_longest_and_end_in_order():
    async def gathers():
        ended = []

        async def one(seconds):
            await asyncio.sleep(seconds)
            ended.append(seconds)

        await asyncio.gather(*(one(seconds) for seconds in (30, 0.001, 20.25, 10)))
        return ended

    job, took = run(gathers)
    assert (job.result(), took) == ([0.001, 10, 20.25, 30], 30)


def test_timeouts_are_in_virtual_time():
    async def times_out():
        try:
            async with asyncio.timeout(100):
                await asyncio.Event().wait()
        except TimeoutError:
            pass
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 20)
        return round(current_job().remaining)

    job, took = run(times_out)
    assert (job.result(), took) == (810 - 120, 120)


def test_eager_knows_no_limits_and_takes_no_real_time():
    async def sleeps_a_day():
        await asyncio.sleep(DAY)
        return "rested"

    job, took = run(sleeps_a_day, mode=Eager)
    assert (job.result(), took) == ("rested", DAY)


# The limits


def test_a_sleep_meets_the_soft_limit_and_time_to_clean_up_is_left():
    async def too_slow():
        try:
            await asyncio.sleep(600)
        except SoftTimeLimitExceeded as limit:
            current_job().progress(1, stage="cleaning up")  # a request, and no second limit with it
            await asyncio.sleep(5)
            return isinstance(limit, asyncio.CancelledError)

    job, took = run(too_slow, soft_timeout="30s")
    assert (job.result(), took) == (True, 35)


def test_a_task_that_does_not_heed_it_has_reached_it():
    job, took = run(sleeps, soft_timeout="30s", failing=True)
    assert (job.record().error["type"], took) == ("SoftTimeLimitExceeded", 30)


def test_what_a_task_started_is_cleaned_up_as_in_lambda():
    async def in_group():
        order = []

        async def part(name):
            try:
                await asyncio.sleep(500)
            finally:
                order.append(name)

        try:
            await asyncio.gather(part("a"), part("b"))
        except SoftTimeLimitExceeded:
            return [*order, "limit"]

    job, took = run(in_group, soft_timeout="10s")
    assert (job.result(), took) == (["a", "b", "limit"], 10)


def test_one_that_swallows_it_gets_another_after_half_of_the_rest():
    async def stubborn():
        seen = []
        for _ in range(2):
            try:
                await asyncio.sleep(10_000)
            except BaseException as error:  # noqa: BLE001 - what it is about
                seen.append(type(error).__mro__[1].__name__)
        return [*seen, round(current_job().remaining)]

    job, took = run(stubborn, soft_timeout="100s")
    assert (job.result(), took) == (["SoftTimeLimitExceeded", "StillRunning", 0], 100 + 400)


def test_a_sleep_meets_the_hard_limit():
    @task(retry=Retry(max_attempts=2), timeout="1m", soft_timeout="30s")
    async def stubborn():
        while current_job().attempt == 1:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(20)
        return "the second time"

    with Pipeline(stubborn) as pipeline:
        job = stubborn.delay()
        pipeline.run_until_idle()
        assert pipeline.states(job.id) == ["PENDING/0", "RUNNING/1", "RUNNING/2", "SUCCEEDED/2"]
        assert pipeline.runs[1].at - pipeline.runs[0].at == 6 * 60_000  # the queue's visibility timeout


def test_a_virtual_sleep_that_blocks_the_loop_meets_the_limit_once():
    @task(retry=ONCE, timeout="15m", soft_timeout="30s")
    async def blocks():
        with pytest.raises(SoftTimeLimitExceeded):
            pipeline.clock.sleep(45)
        await asyncio.sleep(50)
        return "went on"

    with Pipeline(blocks) as pipeline:
        job = blocks.delay()
        pipeline.run_until_idle()
        assert job.result() == "went on"


# What is real


def test_a_call_in_a_thread_is_waited_for():
    async def in_threads():
        with ThreadPoolExecutor(1) as pool:
            first = asyncio.get_running_loop().run_in_executor(pool, time.sleep, 0.2)
            async with asyncio.timeout(600):
                await asyncio.gather(first, asyncio.to_thread(time.sleep, 0.2))
                await asyncio.wrap_future(pool.submit(time.sleep, 0.1))
        await asyncio.sleep(100)
        return "in time"

    job, took = run(in_threads)
    assert job.result() == "in time"
    assert 100.2 < took < 105


def test_a_thread_of_its_own_is_waited_for():
    async def in_a_thread():
        loop, event = asyncio.get_running_loop(), asyncio.Event()

        def sets():
            time.sleep(0.2)
            loop.call_soon_threadsafe(event.set)

        threading.Thread(target=sets).start()
        await asyncio.wait_for(event.wait(), 300)
        await asyncio.sleep(200)

    _, took = run(in_a_thread)
    assert 200.1 < took < 205


def test_a_thread_that_ends_after_its_answer_keeps_nobody_waiting():
    async def in_a_thread():
        loop, event = asyncio.get_running_loop(), asyncio.Event()

        def sets():
            loop.call_soon_threadsafe(event.set)
            time.sleep(0.3)

        threading.Thread(target=sets).start()
        await event.wait()
        await asyncio.sleep(200)

    _, took = run(in_a_thread)
    assert 200 <= took < 205


def test_a_socket_is_waited_for():
    async def over_a_socket():
        near, far = socket.socketpair()
        threading.Timer(0.2, far.send, [b"hello"]).start()
        reader, writer = await asyncio.open_connection(sock=near)
        async with asyncio.timeout(60):
            data = await reader.readexactly(5)
        writer.close()
        far.close()
        await asyncio.sleep(100)
        return data.decode()

    job, took = run(over_a_socket)
    assert job.result() == "hello"
    assert 100.1 < took < 105


def test_a_child_process_is_waited_for():
    async def starts_one():
        child = await asyncio.create_subprocess_exec("sleep", "0.2")
        return await asyncio.wait_for(child.wait(), 60)

    job, took = run(starts_one)
    assert job.result() == 0
    assert took < 5


# Beside others


def test_under_faults_other_processes_go_on_meanwhile():
    order = []

    @task(batch_size=1, max_concurrency=10, timeout="15m")
    async def sleeper(seconds: int):
        await asyncio.sleep(seconds)
        order.append(seconds)

    with Pipeline(sleeper, faults=Faults.none()) as pipeline:
        jobs = [sleeper.delay(seconds) for seconds in (300, 100, 200)]
        began = pipeline.clock.now()
        pipeline.run_until_idle()
        assert order == [100, 200, 300]
        assert 300 <= (pipeline.clock.now() - began) / 1000 < 301
        assert {job.status() for job in jobs} == {State.SUCCEEDED}


@pytest.mark.parametrize("seed", range(15))
def test_under_faults_asynchronous_tasks_come_to_their_end(seed):
    @task(retry=Retry(max_attempts=8, base="5s"), timeout="2m", batch_size=3)
    async def waits(seconds: float) -> float:
        await asyncio.sleep(seconds)
        current_job().progress(1, 2)
        await asyncio.wait_for(asyncio.sleep(seconds), 60)
        return seconds

    with Pipeline(waits, faults=Faults(seed)) as pipeline:
        jobs = [waits.delay(number) for number in range(6)]
        pipeline.run_until_idle()
        assert [job.result() for job in jobs] == list(range(6))
