"""The tasks of the simulated stack. What each run does is in its payload: a step for each attempt."""

from __future__ import annotations

import json
import time
from threading import Thread
from typing import TYPE_CHECKING, Any

from offload import Permanent, RateLimit, Retry, RetryLater, current_job, enqueue, task
from offload.testing.processes import current_process

if TYPE_CHECKING:
    from collections.abc import Callable

LARGE = 9_000
WATCHED = "watched to the end"
"""Result of a run that looked for a cancel every 1.5 s, eight times, and saw none."""


def act(name: str, steps: list[str]) -> str:  # noqa: C901, PLR0912 - one case a step
    """Do the step of this attempt; `time.sleep` is the virtual clock's."""
    job = current_job()
    step = steps[min(job.attempt, len(steps)) - 1]
    match step:
        case "fail":
            raise ValueError(name)
        case "permanent":
            raise Permanent(name)
        case "later":
            raise RetryLater(name, delay="45s")
        case "exit":
            raise SystemExit(3)
        case "slow":
            time.sleep(7)
        case "stumble":
            time.sleep(7)
            raise ValueError(name)
        case "long":
            time.sleep(3_000)  # ends at the soft limit
        case "clean":
            try:
                time.sleep(3_000)
            finally:
                time.sleep(2)
        case "watch" | "look":
            for count in range(8):
                if step == "watch" or count == 0:
                    job.progress(count, 8)
                if job.cancelled:
                    return f"{name}: stopped"
                time.sleep(1.5)
            return WATCHED
        case "large":
            # No two runs return the same, so that a result that is written over shows.
            return f"{name} {job.attempt} {current_process.get()!r:.60}".ljust(LARGE, name[0])
        case "unwritable":
            return object()  # type: ignore[return-value]
        case "spawn":
            enqueue("plain", {"name": f"{name}-child", "steps": ["ok"]}, id=f"{job.id}.child")
        case "thread":
            payload = {"name": f"{name}-threaded", "steps": ["ok"]}
            _in_thread(lambda: enqueue("plain", payload, id=f"{job.id}.threaded"))
        case "frozen":
            if job.attempt == 1:
                _freeze(overlap=name < "c")
            else:
                time.sleep(5)
            if name < "c":
                job.progress(1, 2)
            return f"{name} {job.attempt} woke up".ljust(LARGE if name < "e" else 0, name[0])
        case "ok":
            pass
        case _:
            raise AssertionError(step)
    return name


def _in_thread(action: Callable[[], Any]) -> None:
    thread = Thread(target=action)
    thread.start()
    thread.join()


def _freeze(*, overlap: bool) -> None:
    """Let the process stand still until another worker has received its message and runs the job, or has run it."""
    process = current_process.get()
    assert process is not None
    if process.deadline is not None and not process.spared:
        left = (process.deadline - process.clock.now()) / 1000
        process.deadline = process.soft_limit_at = None
        time.sleep(6 * left + (3 if overlap else 12))


@task(retry=Retry(max_attempts=3, base="10s"), timeout="1m", soft_timeout="20s", max_concurrency=3)
def plain(name: str, steps: list[str]) -> str:
    """An ordinary task."""
    return act(name, steps)


@task(priorities=("high", "default"), batch_size=4, on_success="note", on_failure="note", retry=Retry(max_attempts=2))
def urgent(name: str, steps: list[str]) -> str:
    """One with lanes and follow-ups."""
    return act(name, steps)


@task(rate_limit=RateLimit("20/m", burst=2), retry=Retry(max_attempts=2), batch_size=5, max_concurrency=2)
def limited(name: str, steps: list[str]) -> str:
    """One with a rate limit."""
    return act(name, steps)


@task(rate_limit=RateLimit("8/d"), retry=Retry(max_attempts=2), batch_size=5, max_concurrency=2)
def rare(name: str, steps: list[str]) -> str:
    """One whose jobs wait for hours and days in the line of its rate limit."""
    return act(name, steps)


@task(retry=Retry(max_attempts=1), timeout="10s", batch_size=10, max_concurrency=2)
def once(name: str, steps: list[str]) -> str:
    """One with a single attempt."""
    return act(name, steps)


@task(retry=Retry(max_attempts=4, base="20m", cap="12h"), expires="1h", max_concurrency=2)
async def patient(name: str, steps: list[str]) -> str:
    """An asynchronous one that waits long and expires."""
    return act(name, steps)


@task(retry=Retry(max_attempts=5))
def note(job: dict[str, Any]) -> str:
    """What follows other jobs; its result is what it was told."""
    return json.dumps(job)


TASKS = (plain, urgent, limited, rare, once, patient, note)
ACTING = ("plain", "urgent", "limited", "once", "patient")
