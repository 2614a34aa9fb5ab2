"""Loop and signals bring one soft limit: each exception counts once, and what others swallow comes to the coroutine."""

from __future__ import annotations

import asyncio
import gc
import logging
import time

import pytest

from offload import SoftTimeLimitExceeded
from offload.runtime.event_loop import run_in_event_loop
from offload.runtime.limits import SoftLimit, as_recorded

SOON, LONG = 0.02, 30


@pytest.fixture(autouse=True)
def _quiet(monkeypatch):
    """The loop logs what a callback raises, and what nobody has asked a task for."""
    monkeypatch.setattr(logging.getLogger("asyncio"), "disabled", True)
    yield
    gc.collect()


def run(work, soft=SOON, hard=LONG):
    return run_in_event_loop(work, SoftLimit(soft, hard), lambda result: result)


def compute(seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass


def test_the_loop_may_wait_for_a_thread_after_a_coroutine_that_has_caught_its_limit():
    async def work():
        try:
            await asyncio.to_thread(time.sleep, 0.9)
        except SoftTimeLimitExceeded:
            return "partial"

    assert run(work) == "partial"


def test_tasks_that_are_left_clean_up_after_a_coroutine_that_has_caught_its_limit():
    seen = []

    async def child():
        try:
            await asyncio.sleep(LONG)
        finally:
            await asyncio.sleep(0.9)
            seen.append("cleaned up")

    async def work():
        work.child = asyncio.create_task(child())
        try:
            await asyncio.sleep(LONG)
        except SoftTimeLimitExceeded:
            return "partial"

    assert run(work) == "partial"
    assert seen == ["cleaned up"]


def test_the_loop_after_a_coroutine_that_has_caught_its_limit_has_half_of_the_rest():
    async def work():
        try:
            await asyncio.to_thread(time.sleep, 4)
        except SoftTimeLimitExceeded:
            return time.monotonic()

    began = time.monotonic()
    with pytest.raises(BaseException) as raised:
        run(work, hard=1.6)
    assert type(as_recorded(raised.value)) is SoftTimeLimitExceeded
    assert 0.8 <= time.monotonic() - began < 3


def holds_the_loop_as_a_callback():
    asyncio.get_running_loop().call_soon(time.sleep, LONG)


def holds_the_loop_as_a_task():
    async def background():
        compute(LONG)

    holds_the_loop_as_a_task.task = asyncio.create_task(background())


def holds_the_loop_and_goes_on():
    async def background():
        try:
            compute(LONG)
        except SoftTimeLimitExceeded:
            await asyncio.sleep(0.3)

    holds_the_loop_and_goes_on.task = asyncio.create_task(background())


@pytest.mark.parametrize("hold", [holds_the_loop_as_a_callback, holds_the_loop_as_a_task, holds_the_loop_and_goes_on])
def test_what_came_into_something_else_comes_to_the_coroutine_as_the_first(hold):
    seen = []

    async def work():
        hold()
        try:
            await asyncio.sleep(LONG)
        except SoftTimeLimitExceeded as error:
            seen.append(type(error))
            await asyncio.sleep(0.7)  # a clean-up that nothing disturbs
            return "cleaned up"

    began = time.monotonic()
    assert run(work, hard=20) == "cleaned up"
    assert len(seen) == 1
    assert time.monotonic() - began < 5


def test_what_a_task_hands_on_to_the_coroutine_has_come_to_it():
    async def child():
        compute(LONG)

    async def work():
        try:
            await asyncio.gather(asyncio.create_task(child()), asyncio.sleep(LONG))
        except SoftTimeLimitExceeded:
            await asyncio.sleep(1)
            return "cleaned up"

    assert run(work, hard=20) == "cleaned up"


def test_whoever_swallows_everything_beside_the_coroutine_gets_it_as_what_no_except_exception_catches():
    seen = []

    async def background():
        for _ in range(3):
            try:
                compute(LONG)
            except Exception as error:  # noqa: BLE001 - the point
                seen.append(type(error))

    async def work():
        work.task = asyncio.create_task(background())
        try:
            await asyncio.sleep(LONG)
        except SoftTimeLimitExceeded:
            return "partial"

    assert run(work, hard=2) == "partial"
    assert seen == [SoftTimeLimitExceeded]
    assert not isinstance(work.task.exception(), Exception)
