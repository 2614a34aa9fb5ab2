"""A coroutine that has met its soft limit cleans up as if nothing had ever cancelled it."""

from __future__ import annotations

import asyncio

import pytest

from offload import SoftTimeLimitExceeded
from offload.runtime.event_loop import run_in_event_loop
from offload.runtime.limits import SoftLimit

SOON, LONG = 0.01, 30


def run(work):
    return run_in_event_loop(work, SoftLimit(SOON, LONG), lambda result: result)


async def meet_the_soft_limit():
    with pytest.raises(SoftTimeLimitExceeded):
        await asyncio.sleep(LONG)


def test_a_timeout_of_the_clean_up_is_a_timeout():
    async def work():
        await meet_the_soft_limit()
        try:
            async with asyncio.timeout(SOON):
                await asyncio.sleep(LONG)
        except TimeoutError:
            return "gave up"

    assert run(work) == "gave up"


def test_a_task_group_of_the_clean_up_raises_the_error_of_its_task():
    async def break_down():
        raise ValueError("of the clean-up")

    async def work():
        await meet_the_soft_limit()
        async with asyncio.TaskGroup() as group:
            group.create_task(break_down())
            await asyncio.sleep(LONG)

    with pytest.raises(ExceptionGroup) as raised:
        run(work)
    assert [str(error) for error in raised.value.exceptions] == ["of the clean-up"]


def test_a_coroutine_that_has_met_its_soft_limit_is_not_being_cancelled():
    async def work():
        await meet_the_soft_limit()
        return asyncio.current_task().cancelling()

    assert run(work) == 0
