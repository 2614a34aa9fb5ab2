"""The soft limit: it comes until the function is left, never afterwards, and leaves the process as it was."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
import weakref
from contextlib import suppress
from itertools import pairwise

import pytest

from offload import OffloadError, Retry, SoftTimeLimitExceeded, task
from offload.runtime import timers
from offload.runtime.event_loop import run_in_event_loop
from offload.runtime.limits import LEAST_PAUSE, SoftLimit, StillRunning, as_recorded
from offload.testing.simulated_worker import SimulatedWorker

SOON, LONG = 0.02, 30
SIGNALS = sorted(signal.valid_signals())


def same(value):
    return value


def call(function, soft=SOON, hard=1.0):
    return SoftLimit(soft, hard).call(function, same)


def run(function, soft=SOON, hard=1.0):
    return run_in_event_loop(function, SoftLimit(soft, hard), same)


def sleeps():
    time.sleep(LONG)


def computes():
    while True:
        pass


def matches_without_end():
    re.match(r"(a+)+$", "a" * 60 + "b")


def waits_for_a_thread():
    threading.Event().wait(LONG)


def waits_for_a_child():
    subprocess.run([sys.executable, "-S", "-c", f"import time; time.sleep({LONG})"], check=True)


def runs_a_loop():
    asyncio.run(asyncio.sleep(LONG))


@pytest.mark.parametrize(
    "function", [sleeps, computes, matches_without_end, waits_for_a_thread, waits_for_a_child, runs_a_loop]
)
def test_whatever_a_function_does_it_is_interrupted(function):
    began = time.monotonic()
    with pytest.raises(SoftTimeLimitExceeded, match="the job ran into its soft limit of 20ms"):
        call(function)
    assert time.monotonic() - began < LONG / 2


def swallows_by_except_exception(seen):
    while len(seen) < 5:
        try:
            time.sleep(LONG)
        except Exception as error:  # noqa: BLE001 - the point
            seen.append((type(error), time.monotonic()))


async def swallows_by_except_exception_async(seen):
    while len(seen) < 5:
        try:
            await asyncio.sleep(LONG)
        except Exception as error:  # noqa: BLE001 - the point
            seen.append((type(error), time.monotonic()))


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_the_limit_cannot_be_swallowed_for_good(kind):
    seen, began = [], time.monotonic()
    swallow, within = {
        "sync": (swallows_by_except_exception, call),
        "async": (swallows_by_except_exception_async, run),
    }[kind]
    with pytest.raises((StillRunning, SoftTimeLimitExceeded)) as raised:
        within(lambda: swallow(seen))
    assert type(as_recorded(raised.value)) is SoftTimeLimitExceeded
    ((first, at),) = seen
    assert issubclass(first, SoftTimeLimitExceeded)
    assert time.monotonic() - at >= 0.45, "half of what is left until the hard limit"
    assert time.monotonic() - began < LONG / 2


def test_whoever_swallows_everything_gets_it_again_but_not_all_the_time():
    moments = []

    def stubborn():
        while len(moments) < 4:
            try:
                time.sleep(LONG)
            except BaseException:  # noqa: BLE001 - the point
                moments.append(time.monotonic())

    call(stubborn, hard=1.5)
    pauses = [later - earlier for earlier, later in pairwise(moments)]
    assert all(pause >= LEAST_PAUSE - 0.01 for pause in pauses)
    assert 0.7 <= pauses[0] < 5
    assert 0.3 <= pauses[1] < 5


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_clean_up_is_not_disturbed(kind):
    def cleans_up():
        try:
            time.sleep(LONG)
        except SoftTimeLimitExceeded:
            time.sleep(0.4)
            return "cleaned up"

    async def cleans_up_async():
        try:
            await asyncio.sleep(LONG)
        except SoftTimeLimitExceeded:
            await asyncio.sleep(0.4)
            return "cleaned up"

    assert (call(cleans_up) if kind == "sync" else run(cleans_up_async)) == "cleaned up"


def test_a_coroutine_that_gives_no_turn_is_interrupted_where_it_is():
    seen = []

    async def blocks():
        try:
            time.sleep(LONG)  # noqa: ASYNC251 - the point
        except SoftTimeLimitExceeded:
            seen.append("caught")
            await asyncio.sleep(0.2)  # not disturbed by what was due meanwhile
            return "cleaned up"

    assert run(blocks, hard=3) == "cleaned up"
    assert seen == ["caught"]


def test_a_task_that_gives_no_turn_is_interrupted_too():
    async def blocks():
        time.sleep(LONG)  # noqa: ASYNC251 - the point

    async def main():
        async with asyncio.TaskGroup() as group:
            group.create_task(blocks())

    with pytest.raises(ExceptionGroup) as raised:
        run(main)
    assert type(as_recorded(raised.value)) is SoftTimeLimitExceeded


def test_a_task_that_keeps_the_cancel_for_itself_delays_the_limit_only():
    seen = []

    async def child():
        try:
            await asyncio.sleep(LONG)
        except asyncio.CancelledError:
            return "not me"

    async def main():
        seen.append(await asyncio.create_task(child()))
        seen.append(asyncio.current_task().cancelling())
        try:
            await asyncio.sleep(LONG)
        except SoftTimeLimitExceeded:
            return "me"

    assert run(main, hard=3) == "me"
    assert seen == ["not me", 0]


def test_what_a_coroutine_leaves_behind_cannot_keep_the_worker():
    keeps_on = True

    async def never_ends():
        while keeps_on:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(LONG)

    async def main():
        main.task = asyncio.create_task(never_ends())
        await asyncio.sleep(0)
        return "long done"

    began = time.monotonic()
    with pytest.raises(SoftTimeLimitExceeded):
        run(main)
    assert time.monotonic() - began < LONG / 2
    keeps_on = False
    with pytest.raises(StopIteration):
        main.task.get_coro().throw(asyncio.CancelledError)
    main.task._log_destroy_pending = False


@pytest.mark.parametrize(
    ("name", "caught"),
    [("gather", SoftTimeLimitExceeded), ("timeout", SoftTimeLimitExceeded), ("shield", SoftTimeLimitExceeded)],
)
def test_what_a_coroutine_waits_for_is_cleaned_up_as_for_a_cancel(name, caught):
    events = []

    async def child():
        try:
            await asyncio.sleep(LONG)
        finally:
            events.append("child cleaned up")

    async def main():
        inner = asyncio.create_task(child())
        try:
            if name == "gather":
                await asyncio.gather(inner, asyncio.sleep(LONG))
            elif name == "shield":
                await asyncio.shield(inner)
            else:
                async with asyncio.timeout(LONG):
                    await inner
        except caught:
            events.append("caught")
        inner.cancel()
        await asyncio.wait([inner])
        return events

    expected = ["caught", "child cleaned up"] if name == "shield" else ["child cleaned up", "caught"]
    assert sorted(run(main)) == sorted(expected)


def test_a_task_group_hands_the_limit_on():
    events = []

    async def child():
        try:
            await asyncio.sleep(LONG)
        finally:
            events.append("child cleaned up")

    async def main():
        async with asyncio.TaskGroup() as group:
            group.create_task(child())
            await asyncio.sleep(LONG)

    with pytest.raises((SoftTimeLimitExceeded, ExceptionGroup)) as raised:
        run(main)
    assert type(as_recorded(raised.value)) is SoftTimeLimitExceeded
    assert events == ["child cleaned up"]


def test_to_the_event_loop_the_limit_is_an_error_and_no_cancel():
    seen = []

    async def main():
        asyncio.current_task().add_done_callback(
            lambda done: seen.append("cancelled" if done.cancelled() else type(done.exception()))
        )
        await asyncio.sleep(LONG)

    with pytest.raises(SoftTimeLimitExceeded):
        run(main)
    assert seen == [SoftTimeLimitExceeded]


def test_the_limit_is_recorded_by_its_own_name_whatever_it_came_as(deploy, monkeypatch):
    monkeypatch.setattr(SimulatedWorker, "limit", SoftLimit)

    @task(timeout="1s", soft_timeout=0.1, retry=Retry(max_attempts=5, never=(SoftTimeLimitExceeded,)))
    async def grouped():
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(LONG))
            await asyncio.sleep(LONG)

    pipeline = deploy(grouped)
    job = grouped.delay()
    pipeline.run_until_idle()

    error = job.record().error
    assert (error["type"], error["attempt"]) == ("SoftTimeLimitExceeded", 1)
    assert "in grouped" in error["traceback"]


def test_errors_of_the_task_stay_as_they_are():
    mixed = ExceptionGroup("mixed", [SoftTimeLimitExceeded("x"), ValueError("y")])
    assert as_recorded(mixed) is mixed
    error = OffloadError("x")
    assert as_recorded(error) is error
    assert type(as_recorded(StillRunning("x"))) is SoftTimeLimitExceeded


# The process


def test_a_late_signal_never_reaches_what_comes_after_the_function():
    """The limit falls due all around the end of the function, thousands of times."""
    rng, outcomes, until = random.Random(1), {"in time": 0, "too late": 0}, time.monotonic() + 3
    before = [signal.getsignal(number) for number in SIGNALS]
    while time.monotonic() < until:
        end = time.perf_counter() + rng.uniform(0.0005, 0.0015)

        def work(end=end):
            while time.perf_counter() < end:
                pass
            return 1

        try:
            assert call(work, soft=0.001) == 1
            outcomes["in time"] += 1
        except SoftTimeLimitExceeded:
            outcomes["too late"] += 1
        sum(range(50))  # where an exception that comes late would be raised
    assert min(outcomes.values()) > 100
    assert [signal.getsignal(number) for number in SIGNALS] == before
    assert signal.sigpending() == set()


def test_a_signal_that_was_blocked_is_gone_afterwards():
    everything = signal.pthread_sigmask(signal.SIG_BLOCK, ())

    def blocks():
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        time.sleep(0.1)
        return len(signal.sigpending())

    try:
        assert call(blocks) == 1
        assert signal.sigpending() == set()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, everything)


def test_a_handler_that_was_installed_from_c_stays():
    libc = ctypes.CDLL(None)
    libc.signal.argtypes, libc.signal.restype = (ctypes.c_int, ctypes.c_void_p), ctypes.c_void_p
    mine = ctypes.cast(libc.abs, ctypes.c_void_p)
    number = signal.SIGALRM
    before = libc.signal(number, mine)
    try:
        assert call(lambda: 1, soft=LONG) == 1
        with pytest.raises(SoftTimeLimitExceeded):
            call(sleeps)
        assert libc.signal(number, mine) == mine.value
    finally:
        libc.signal(number, before)


def test_a_signal_that_somebody_uses_is_left_to_them():
    number = signal.SIGRTMAX
    before = signal.signal(number, lambda *_: None)
    try:
        with pytest.raises(SoftTimeLimitExceeded):
            call(sleeps)
    finally:
        signal.signal(number, before)


def test_a_task_may_take_the_signal_for_itself():
    handler = lambda *_: None  # noqa: E731
    before = signal.getsignal(signal.SIGRTMAX)

    def takes():
        signal.signal(signal.SIGRTMAX, handler)
        return "took"

    try:
        assert call(takes) == "took"
        assert signal.getsignal(signal.SIGRTMAX) is handler
    finally:
        signal.signal(signal.SIGRTMAX, before)


def test_limits_within_limits_each_come_at_their_time():
    def outer():
        with pytest.raises(SoftTimeLimitExceeded, match="of 20ms"):
            call(sleeps)
        time.sleep(LONG)

    began = time.monotonic()
    with pytest.raises(SoftTimeLimitExceeded, match="of 300ms"):
        call(outer, soft=0.3, hard=3)
    assert time.monotonic() - began < LONG / 2


def test_a_child_has_limits_of_its_own():
    call(lambda: 1, soft=LONG)  # the parent has a timer, which no child inherits
    child = os.fork()
    if child == 0:
        try:
            call(sleeps)
        except SoftTimeLimitExceeded:
            os._exit(7)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_a_run_in_another_thread_meets_no_soft_limit():
    found = []
    thread = threading.Thread(target=lambda: found.append(call(lambda: time.sleep(0.1) or "done")))
    thread.start()
    thread.join()
    assert found == ["done"]


def test_a_job_pays_little_for_its_limit():
    call(lambda: 1, soft=LONG)
    began = time.process_time()
    for _ in range(1_000):
        call(lambda: 1, soft=LONG)
    assert (time.process_time() - began) / 1_000 < 200e-6, "about 25 us on an idle machine"


def test_where_there_are_no_timers_the_alarm_does(monkeypatch):
    monkeypatch.setattr(timers, "_HAS_POSIX_TIMERS", False)
    monkeypatch.setattr(timers, "_timers", {})
    before = signal.getsignal(signal.SIGALRM)
    with pytest.raises(SoftTimeLimitExceeded):
        call(sleeps)
    assert signal.getsignal(signal.SIGALRM) == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_a_function_that_ends_at_its_limit_leaves_no_timer_behind():
    """A signal that arrives while the timer is being stopped must not start it again: nobody handles the next one."""
    rng, now, left = random.Random(5), time.perf_counter, timers._Times()
    for _ in range(3_000):
        limit = SoftLimit(0.001, 10)
        until = now() + 0.001 + rng.uniform(-30e-6, 20e-6)

        def ends_at_its_limit(until=until):
            while now() < until:
                pass

        with suppress(SoftTimeLimitExceeded):
            limit.call(ends_at_its_limit, same)
        timers._library().timer_gettime(limit._timer.id, ctypes.byref(left))
        armed = bool(left.in_s or left.in_ns)
        limit._timer.stop()
        assert not armed


# Where Python lets no exception out


class _Dies:
    def __del__(self):
        time.sleep(LONG)


def dies():
    _Dies()


def dies_weakly():
    thing = type("Thing", (), {})()
    reference = weakref.ref(thing, lambda _gone: time.sleep(LONG))
    del thing
    assert reference() is None


def dies_in_a_cycle():
    first, second = _Dies(), _Dies()
    first.other, second.other = second, first
    del first, second
    gc.collect()


def is_told_of_a_collection():
    def told(phase, _info):
        if phase == "start":
            time.sleep(LONG)

    gc.callbacks.append(told)
    try:
        gc.collect()
    finally:
        gc.callbacks.remove(told)


def is_called_from_c():
    compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(lambda _a, _b: time.sleep(LONG) or 0)
    ctypes.CDLL(None).qsort((ctypes.c_int * 2)(2, 1), 2, 4, compare)


@pytest.mark.parametrize("swallow", [dies, dies_weakly, dies_in_a_cycle, is_told_of_a_collection, is_called_from_c])
@pytest.mark.parametrize("where", ["function", "coroutine"])
def test_an_exception_that_python_swallows_comes_again_as_the_same(swallow, where):
    before, reached = sys.unraisablehook, []

    def function():
        try:
            swallow()
            time.sleep(LONG)
        except SoftTimeLimitExceeded as error:
            reached.append(type(error))
            return "cleaned up"

    async def coroutine():
        return function()

    began = time.monotonic()
    result = call(function, hard=20) if where == "function" else run(coroutine, hard=20)

    assert result == "cleaned up"
    assert issubclass(reached[0], SoftTimeLimitExceeded)
    assert time.monotonic() - began < 5
    assert sys.unraisablehook is before


def test_what_is_swallowed_beside_the_limit_goes_to_the_hook_in_force(monkeypatch):
    told = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: told.append(type(unraisable.exc_value)))

    class Fails:
        def __del__(self):
            raise KeyError

    def function():
        try:
            time.sleep(LONG)
        except SoftTimeLimitExceeded:
            Fails()

    call(function, hard=20)
    assert told == [KeyError]


def test_a_hook_that_the_task_sets_stays():
    before = sys.unraisablehook

    def own(_unraisable):
        """Stand for the task's hook."""

    def function():
        try:
            time.sleep(LONG)
        except SoftTimeLimitExceeded:
            sys.unraisablehook = own

    try:
        call(function, hard=20)
        assert sys.unraisablehook is own
    finally:
        sys.unraisablehook = before


def test_a_task_that_blocks_all_signals_meets_the_hard_limit_alone():
    def function():
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            time.sleep(0.3)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return "not interrupted"

    # The signal that has waited comes with the end of the block.
    with pytest.raises(SoftTimeLimitExceeded):
        call(function)
