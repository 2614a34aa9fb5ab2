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

from offload import Permanent, Retry, RetryLater, SoftTimeLimitExceeded, State, task
from offload.runtime.limits import SoftLimit
from offload.testing.simulated_worker import SimulatedWorker

if TYPE_CHECKING:
    from collections.abc import Callable

LOST = "the worker was killed, timed out or ran out of memory"


@pytest.fixture(autouse=True)
def _real_soft_limit(monkeypatch):
    """Let the soft limit be the worker's own: a pipeline leaves it to the virtual clock."""
    monkeypatch.setattr(SimulatedWorker, "limit", SoftLimit)


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


class Lying(Exception):
    """An error that has no class to those who ask it."""

    @property
    def __class__(self) -> Any:
        raise RuntimeError("no class")


class Untraceable(Exception):
    @property
    def __traceback__(self) -> Any:
        raise SystemExit(1)

    @__traceback__.setter
    def __traceback__(self, _traceback: Any) -> None:
        pass


class Nameless(type):
    @property
    def __name__(cls) -> str:
        raise RuntimeError("no name")


class Masked(Exception, metaclass=Nameless):
    pass


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class Misleading(Exception):
    """An error that breaks whoever looks into it."""

    @property
    def __notes__(self) -> Any:
        raise RuntimeError("no trace")

    @property
    def __cause__(self) -> Any:
        raise RuntimeError("no cause")


@dataclass
class Exit:
    """How a run comes to its end, and what the job's record says of it.

    Attributes:
        do: What the run does; it is given the pipeline.
        type: Type of the error in the record.
        message: How the error's message begins.
        state: The job's last state.
        result: The job's result.
        runs: How often the job runs; None for as often as its task allows.
        traceback: The record has a traceback.
        settings: Settings of the task.
    """

    do: Callable[[Any], Any]
    type: str = ""
    message: str = ""
    state: State = State.FAILED
    result: str | None = None
    runs: int | None = None
    traceback: bool = True
    settings: dict[str, Any] = field(default_factory=dict)


def raising(error: BaseException) -> Callable[[Any], Any]:
    def do(_pipeline: Any) -> None:
        raise error.with_traceback(None)  # not on top of where it was raised before

    return do


def raising_async(error: BaseException) -> Callable[[Any], Any]:
    async def do(_pipeline: Any) -> None:
        await asyncio.sleep(0)
        raise error.with_traceback(None)

    return do


async def killed_async(pipeline: Any) -> None:
    await asyncio.sleep(0)
    pipeline.kill()


def recurse(pipeline: Any) -> Any:
    return recurse(pipeline)


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


def too_long(_pipeline: Any) -> None:
    time.sleep(5)


async def too_long_async(_pipeline: Any) -> None:
    await asyncio.sleep(5)


async def too_long_in_a_group(_pipeline: Any) -> None:
    await asyncio.gather(asyncio.sleep(5), asyncio.sleep(6))


async def too_long_then_cleans_up(_pipeline: Any) -> None:
    try:
        await asyncio.sleep(5)
    finally:
        await asyncio.sleep(0)  # cleaning up may wait, too


def exits(_pipeline: Any) -> None:
    sys.exit("bye")


SOON = {"timeout": "1s", "soft_timeout": 0.1}
LIMIT = ("SoftTimeLimitExceeded", "the job ran into its soft limit of 100ms")
LARGE = 10_000_000
HIDDEN = "(its text cannot be shown: RuntimeError)"

EXITS = {
    # The process is gone
    "killed": Exit(lambda pipeline: pipeline.kill(), "WorkerLost", LOST, traceback=False),
    "killed, async": Exit(killed_async, "WorkerLost", LOST, traceback=False),
    "hard timeout": Exit(lambda pipeline: pipeline.clock.advance(60), "WorkerLost", LOST, traceback=False),
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
    "its class raises": Exit(raising(Lying("x")), "Lying", "x"),
    "its traceback raises": Exit(raising(Untraceable("x")), "Untraceable", "x"),
    "its name raises": Exit(raising(Masked("x")), "Masked", "x"),
    "its name raises, async": Exit(raising_async(Masked("x")), "Masked", "x"),
    "exception group": Exit(
        raising(ExceptionGroup("many", [ValueError("a"), Silent()])), "ExceptionGroup", "many (2 sub-exceptions)"
    ),
    "deep exception group": Exit(raising(deep_group()), "ExceptionGroup", "level (1 sub-exception)"),
    "long chain of causes": Exit(raising(long_chain()), "ValueError", "4999"),
    "deep recursion": Exit(recurse, "RecursionError", "maximum recursion depth exceeded"),
    "surrogate in the message": Exit(raising(ValueError("\ud800 \x00")), "ValueError", "? \x00"),
    # Results
    "result without a JSON form": Exit(
        lambda _: object(), "WrongResult", "work: the result of type object cannot be written as JSON: ", runs=1
    ),
    "result with a surrogate": Exit(
        lambda _: "\ud800", "WrongResult", "work: the result of type str cannot be written as JSON: ", runs=1
    ),
    "result that contains itself": Exit(
        lambda _: (loop := [], loop.append(loop))[0],
        "WrongResult",
        "work: the result of type list cannot be written as JSON: ",
        runs=1,
    ),
    "result of 10 MB": Exit(lambda _: "x" * LARGE, state=State.SUCCEEDED, result="x" * LARGE),
    "result NaN": Exit(lambda _: float("nan"), state=State.SUCCEEDED, result="NaN"),
    "result None": Exit(lambda _: None, state=State.SUCCEEDED, result=None),
}


@pytest.mark.parametrize("attempts", [1, 2])
@pytest.mark.parametrize("name", EXITS)
def test_an_exit_is_recorded_and_explained_and_costs_its_neighbours_nothing(deploy, worker_log, name, attempts):
    """Three jobs make a batch, and the run of the one in the middle comes to this end."""
    expected, runs = EXITS[name], []
    settings = {"batch_size": 3, "retry": Retry(max_attempts=attempts, base="1s"), **expected.settings}

    def work(name: str):
        runs.append(name)
        return expected.do(pipeline) if name == "b" else name

    async def work_async(name: str):
        runs.append(name)
        return await expected.do(pipeline) if name == "b" else name

    working = task(**settings)(work_async if inspect.iscoroutinefunction(expected.do) else work)
    pipeline = deploy(working)
    before, job, after = [working.delay(each) for each in "abc"]

    began_at = time.monotonic()
    pipeline.run_until_idle()
    assert time.monotonic() - began_at < 2

    for neighbour in (before, after):
        assert (neighbour.status(), neighbour.record().attempt) == (State.SUCCEEDED, 1)
    assert (runs.count("a"), runs.count("c")) == (1, 1)
    assert pipeline.waiting() == []
    assert "the worker failed on a message" not in worker_log.text
    record = job.record()
    assert record.state is expected.state
    assert len(json.dumps(pipeline.record(job.id))) < 9_000
    if expected.state is State.SUCCEEDED:
        assert (record.attempt, record.error, runs.count("b")) == (1, None, 1)
        assert job.result(0) == expected.result
        assert pipeline.dead() == []
        return
    last = expected.runs or attempts
    assert (record.attempt, runs.count("b")) == (last, last)
    assert (record.error["type"], record.error["attempt"]) == (expected.type, last)
    assert record.error["message"].startswith(expected.message)
    assert len(record.error["message"]) <= 1_000
    assert ("traceback" in record.error["traceback"].lower()) is expected.traceback
    assert len(record.error["traceback"]) <= 4_000
    assert record.error["message"] or expected.type in record.error["traceback"]
    assert record.reason.startswith(expected.type)
    assert [letter.job.id for letter in pipeline.dead_letters()] == [job.id]


def test_a_long_message_does_not_push_the_frames_out_of_the_traceback(deploy):
    @task(retry=Retry(max_attempts=1))
    def wordy():
        raise ValueError("x" * LARGE)

    pipeline = deploy(wordy)
    job = wordy.delay()
    pipeline.run_until_idle()

    assert "in wordy" in job.record().error["traceback"]
    assert job.record().error["traceback"].endswith("x...\n")


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_the_soft_limit_is_raised_inside_the_task(deploy, kind):
    seen = []

    @task(**SOON, retry=Retry(max_attempts=1))
    def sleeps():
        try:
            time.sleep(5)
        except Exception as limit:
            seen.append(type(limit).__name__)
            raise

    @task(**SOON, retry=Retry(max_attempts=1))
    async def awaits():
        try:
            await asyncio.sleep(5)
        except Exception as limit:
            seen.append(type(limit).__name__)
            raise

    slow = sleeps if kind == "sync" else awaits
    pipeline = deploy(slow)
    job = slow.delay()
    pipeline.run_until_idle()

    assert seen == ["SoftTimeLimitExceeded"]
    assert f"in {slow.name}" in job.record().error["traceback"]


def test_a_task_may_catch_the_soft_limit_and_succeed(deploy):
    @task(**SOON)
    async def patient() -> str:
        try:
            await asyncio.sleep(5)
        except TimeoutError:
            raise  # the task's own limits raise this, and it must tell the two apart
        except SoftTimeLimitExceeded:
            return "partly"

    pipeline = deploy(patient)
    job = patient.delay()
    pipeline.run_until_idle()

    assert job.result(0) == "partly"
