"""Every way a run can come to its end: each is recorded and explained, and costs its neighbours nothing."""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from offload import Permanent, Retry, RetryLater, State, task
from offload.runtime.limits import soft_limit
from offload.testing import pipeline

if TYPE_CHECKING:
    from collections.abc import Callable

LOST = "the worker was killed, timed out or ran out of memory"


@pytest.fixture(autouse=True)
def real_timer(monkeypatch):
    """Let the soft limit be the worker's own: a pipeline leaves it to the virtual clock."""
    monkeypatch.setattr(pipeline._Simulated, "soft_limit", staticmethod(soft_limit))


class Custom(BaseException):
    pass


class Silent(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class SilentDeath(BaseException):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class Exiting(Exception):
    def __str__(self) -> str:
        raise SystemExit(1)


class Shy(Exception):
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class Misleading(Exception):
    """An error that breaks whoever looks into it."""

    @property
    def __notes__(self) -> Any:
        raise RuntimeError("no notes")

    @property
    def __cause__(self) -> Any:
        raise RuntimeError("no cause")


@dataclass
class Exit:
    """What the task in the middle does, and what its record then says."""

    do: Callable[[Any], Any]
    type: str = ""
    message: str = ""
    state: State = State.FAILED
    result: str | None = None
    runs: int | None = None
    traceback: bool = True
    settings: dict[str, Any] = field(default_factory=dict)


def raising(error: BaseException) -> Callable[[Any], Any]:
    def do(_world: Any) -> None:
        raise error.with_traceback(None)  # not on top of where it was raised before

    return do


def raising_async(error: BaseException) -> Callable[[Any], Any]:
    async def do(_world: Any) -> None:
        await asyncio.sleep(0)
        raise error.with_traceback(None)

    return do


async def killed_async(world: Any) -> None:
    await asyncio.sleep(0)
    world.kill()


def down(world: Any) -> Any:
    return down(world)


def deep_group() -> BaseException:
    error: Exception = ValueError("at the bottom")
    for _ in range(2_000):
        error = ExceptionGroup("level", [error])
    return error


def long_chain() -> BaseException:
    error = ValueError("0")
    for n in range(1, 5_000):
        following = ValueError(str(n))
        following.__cause__ = error
        error = following
    return error


def too_long(_world: Any) -> None:
    time.sleep(5)


async def too_long_async(_world: Any) -> None:
    await asyncio.sleep(5)


async def too_long_in_a_group(_world: Any) -> None:
    await asyncio.gather(asyncio.sleep(5), asyncio.sleep(6))


async def too_long_then_cleans_up(_world: Any) -> None:
    try:
        await asyncio.sleep(5)
    finally:
        await asyncio.sleep(0)  # cleaning up may wait, too


def exits(_world: Any) -> None:
    sys.exit("bye")


SOON = {"timeout": "1s", "soft_timeout": 0.1}
LIMIT = ("SoftTimeLimitExceeded", "the job ran into its soft limit of 100ms")
LARGE = 10_000_000
HIDDEN = "(its text cannot be shown: RuntimeError)"

EXITS = {
    # The process is gone
    "killed": Exit(lambda world: world.kill(), "WorkerLost", LOST, traceback=False),
    "killed, async": Exit(killed_async, "WorkerLost", LOST, traceback=False),
    "hard timeout": Exit(lambda world: world.clock.advance(60), "WorkerLost", LOST, traceback=False),
    # Limits
    "soft limit": Exit(too_long, *LIMIT, settings=SOON),
    "soft limit, async": Exit(too_long_async, *LIMIT, settings=SOON),
    "soft limit, async in a group": Exit(too_long_in_a_group, *LIMIT, settings=SOON),
    "soft limit, async with cleaning up": Exit(too_long_then_cleans_up, *LIMIT, settings=SOON),
    # What is no Exception
    "SystemExit": Exit(exits, "SystemExit", "bye"),
    "SystemExit with a number": Exit(raising(SystemExit(3)), "SystemExit", "3"),
    "SystemExit, async": Exit(raising_async(SystemExit(3)), "SystemExit", "3"),
    "KeyboardInterrupt": Exit(raising(KeyboardInterrupt()), "KeyboardInterrupt"),
    "KeyboardInterrupt, async": Exit(raising_async(KeyboardInterrupt()), "KeyboardInterrupt"),
    "GeneratorExit": Exit(raising(GeneratorExit()), "GeneratorExit"),
    "GeneratorExit, async": Exit(raising_async(GeneratorExit()), "GeneratorExit"),
    "CancelledError": Exit(raising(asyncio.CancelledError()), "CancelledError"),
    "CancelledError, async": Exit(raising_async(asyncio.CancelledError()), "CancelledError"),
    "custom BaseException": Exit(raising(Custom("x")), "Custom", "x"),
    "custom BaseException, async": Exit(raising_async(Custom("x")), "Custom", "x"),
    "SystemExit that is never retried": Exit(
        exits, "SystemExit", "bye", runs=1, settings={"retry": Retry(max_attempts=9, never=(SystemExit,))}
    ),
    "SystemExit beside what is retried": Exit(
        exits, "SystemExit", "bye", runs=1, settings={"retry": Retry(max_attempts=9, on=(OSError,))}
    ),
    # Errors
    "StopIteration": Exit(raising(StopIteration(1)), "StopIteration", "1"),
    "MemoryError": Exit(raising(MemoryError()), "MemoryError"),
    "Permanent": Exit(raising(Permanent("never")), "Permanent", "never", runs=1),
    "RetryLater": Exit(raising(RetryLater(delay=5)), "RetryLater", "asked to run again later"),
    "message of 10 MB": Exit(raising(ValueError("x" * LARGE)), "ValueError", "x" * 1000),
    "str raises": Exit(raising(Silent()), "Silent", HIDDEN),
    "str raises, no Exception": Exit(raising(SilentDeath()), "SilentDeath", HIDDEN),
    "str raises SystemExit": Exit(raising(Exiting()), "Exiting", "(its text cannot be shown: SystemExit)"),
    "repr raises": Exit(raising(Shy("quiet")), "Shy", "quiet"),
    "repr of what it holds raises": Exit(raising(ValueError(Unprintable(), 1)), "ValueError", HIDDEN),
    "it breaks who looks into it": Exit(raising(Misleading("x")), "Misleading", "x"),
    "exception group": Exit(
        raising(ExceptionGroup("many", [ValueError("a"), Silent()])), "ExceptionGroup", "many (2 sub-exceptions)"
    ),
    "deep exception group": Exit(raising(deep_group()), "ExceptionGroup", "level (1 sub-exception)"),
    "long chain of causes": Exit(raising(long_chain()), "ValueError", "4999"),
    "deep recursion": Exit(down, "RecursionError", "maximum recursion depth exceeded"),
    "surrogate in the message": Exit(raising(ValueError("\ud800 \x00")), "ValueError", "? \x00"),
    # Results
    "result without a JSON form": Exit(
        lambda _: object(), "PayloadError", "work: the result of type object cannot be written as JSON: "
    ),
    "result with a surrogate": Exit(
        lambda _: "\ud800", "PayloadError", "work: the result of type str cannot be written as JSON: "
    ),
    "result that contains itself": Exit(
        lambda _: (loop := [], loop.append(loop))[0],
        "PayloadError",
        "work: the result of type list cannot be written as JSON: ",
    ),
    "result of 10 MB": Exit(lambda _: "x" * LARGE, state=State.SUCCEEDED, result="x" * LARGE),
    "result NaN": Exit(lambda _: float("nan"), state=State.SUCCEEDED, result="NaN"),
    "result None": Exit(lambda _: None, state=State.SUCCEEDED, result=None),
}


def middle_of_three(do: Callable[[Any], Any], world: list[Any], runs: list[str], settings: dict[str, Any]) -> Any:
    if inspect.iscoroutinefunction(do):

        @task(**settings)
        async def work(name: str):
            runs.append(name)
            return await do(world[0]) if name == "b" else name

        return work

    @task(**settings)
    def work(name: str):
        runs.append(name)
        return do(world[0]) if name == "b" else name

    return work


@pytest.mark.parametrize("attempts", [1, 2])
@pytest.mark.parametrize("name", EXITS)
def test_an_exit_is_recorded_and_explained_and_costs_its_neighbours_nothing(stage, name, attempts):
    wanted = EXITS[name]
    runs: list[str] = []
    stages: list[Any] = []
    retry = Retry(max_attempts=attempts, base="1s")
    work = middle_of_three(wanted.do, stages, runs, {"batch_size": 3, "retry": retry, **wanted.settings})
    stages.append(world := stage(work))
    jobs = [work.delay(each) for each in "abc"]
    begin = time.monotonic()
    world.run_until_idle()
    assert time.monotonic() - begin < 2
    for neighbour in (jobs[0], jobs[2]):
        assert (neighbour.status(), neighbour.record().attempt) == (State.SUCCEEDED, 1)
    assert (runs.count("a"), runs.count("c")) == (1, 1)
    record = jobs[1].record()
    assert record.state is wanted.state
    assert world.waiting() == []
    assert "the worker failed on a message" not in world.log.getvalue()
    assert len(json.dumps(world.item(jobs[1].id))) < 9_000
    if wanted.state is State.SUCCEEDED:
        assert (record.attempt, record.error, runs.count("b")) == (1, None, 1)
        assert jobs[1].result(0) == wanted.result
        assert world.dead() == []
        return
    expected = wanted.runs or attempts
    assert (record.attempt, runs.count("b")) == (expected, expected)
    assert (record.error["type"], record.error["attempt"]) == (wanted.type, expected)
    assert record.error["message"].startswith(wanted.message)
    assert len(record.error["message"]) <= 1_000
    assert ("traceback" in record.error["traceback"].lower()) is wanted.traceback
    assert len(record.error["traceback"]) <= 4_000
    assert record.error["message"] or wanted.type in record.error["traceback"]
    assert record.reason.startswith(wanted.type)
    assert [letter.job.id for letter in world.dead_letters()] == [jobs[1].id]


def test_a_long_message_does_not_push_the_frames_out_of_the_traceback(stage):
    @task(retry=Retry(max_attempts=1))
    def wordy():
        raise ValueError("x" * LARGE)

    world = stage(wordy)
    job = wordy.delay()
    world.run_until_idle()
    assert "in wordy" in job.record().error["traceback"]
    assert job.record().error["traceback"].endswith("x...\n")


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_the_soft_limit_is_raised_inside_the_task(stage, kind):
    seen = []

    @task(**SOON, retry=Retry(max_attempts=1))
    def sync():
        try:
            time.sleep(5)
        except Exception as limit:
            seen.append(type(limit).__name__)
            raise

    @task(**SOON, retry=Retry(max_attempts=1))
    async def waiting():
        try:
            await asyncio.sleep(5)
        except Exception as limit:
            seen.append(type(limit).__name__)
            raise

    chosen = sync if kind == "sync" else waiting
    world = stage(chosen)
    job = chosen.delay()
    world.run_until_idle()
    assert seen == ["SoftTimeLimitExceeded"]
    assert f"in {chosen.name}" in job.record().error["traceback"]


def test_a_task_may_catch_the_soft_limit_and_succeed(stage):
    @task(**SOON)
    async def patient() -> str:
        try:
            await asyncio.sleep(5)
        except TimeoutError:
            raise
        except Exception:  # noqa: BLE001
            return "partly"

    world = stage(patient)
    job = patient.delay()
    world.run_until_idle()
    assert job.result(0) == "partly"
