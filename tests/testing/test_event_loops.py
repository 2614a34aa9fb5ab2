"""Asynchronous tasks and asynchronous tests: each has an event loop, and neither sees the other's."""

from __future__ import annotations

import asyncio

import pytest

from offload import Retry, SoftTimeLimitExceeded, current_job, task
from offload.testing import Eager, Pipeline


@task(retry=Retry(max_attempts=2, base="1m"))
async def double(number: int) -> int:
    await asyncio.sleep(0)
    assert asyncio.current_task().get_loop() is asyncio.get_running_loop()
    return 2 * number


@task
def triple(number: int) -> int:
    return asyncio.run(_triple(number))


async def _triple(number):
    return 3 * number


def test_tasks_with_event_loops_run_in_an_asynchronous_test_of_eager():
    async def check():
        with Eager(double, triple):
            assert (double.delay(2).result(), triple.delay(2).result()) == (4, 6)
            assert await (await double.adelay(3)).aresult() == 6
        assert asyncio.current_task() is task_of_test
        await asyncio.sleep(0)

    async def test():
        nonlocal task_of_test
        task_of_test = asyncio.current_task()
        await check()

    task_of_test = None
    asyncio.run(test())


def test_tasks_with_event_loops_run_in_an_asynchronous_test_of_a_pipeline():
    async def check():
        with Pipeline(double, triple) as pipeline:
            jobs = [double.delay(2), triple.delay(2)]
            pipeline.run_until_idle()
            assert [await job.aresult() for job in jobs] == [4, 6]

    asyncio.run(check())


def test_the_soft_limit_of_an_asynchronous_task_is_in_virtual_time(monkeypatch):
    @task(timeout="1m", soft_timeout="30s", retry=Retry(max_attempts=1))
    async def slow() -> str:
        try:
            pipeline.clock.sleep(45)
        except SoftTimeLimitExceeded:
            return f"{current_job().attempt} was too slow"
        return "slept"

    with Pipeline(slow) as pipeline:
        job = slow.delay()
        pipeline.run_until_idle()
        assert job.result() == "1 was too slow"


@pytest.mark.parametrize("mode", [Eager, Pipeline])
def test_an_asynchronous_task_that_fails_is_tried_again_in_an_asynchronous_test(mode):
    @task(retry=Retry(max_attempts=2, base="1m"))
    async def second_time() -> int:
        await asyncio.sleep(0)
        if current_job().attempt == 1:
            raise ValueError
        return current_job().attempt

    async def check():
        with mode(second_time) as deployed:
            job = second_time.delay()
            deployed.run_until_idle()
            assert job.result() == 2

    asyncio.run(check())
