"""The tasks of the simulated stack. What each run does is in its payload: a step for each attempt."""

from __future__ import annotations

import json
import os
import time
import warnings
from threading import Thread
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator

from offload import Permanent, RateLimit, Retry, RetryLater, current_job, enqueue, task
from offload.testing.processes import current_process

if TYPE_CHECKING:
    from collections.abc import Sequence

LARGE = 9_000
WATCHED = "watched to the end"
"""Result of a run that looked for a cancel every 1.5 s, eight times, and saw none."""


LOST = "a process that the job has forked does not know its job"
"""Result of a run whose child process is nobody's."""

DEADLY = "deadly"
"""Name that kills whatever worker validates it, before its job is claimed and after."""

_LATER = {"later": "45s", "day": "26h", "weeks": "20d", "quarter": "100d"}
"""How long a run puts its next attempt off, by the step."""


def act(name: str, steps: list[str]) -> str:  # noqa: C901, PLR0912, PLR0915 - one case a step
    """Do the step of this attempt; `time.sleep` is the virtual clock's."""
    job, name = current_job(), name.strip()
    step = steps[min(job.attempt, len(steps)) - 1]
    match step:
        case "fail":
            raise ValueError(name)
        case "permanent":
            raise Permanent(name)
        case "later" | "day" | "weeks" | "quarter":
            raise RetryLater(name, delay=_LATER[step])
        case "exit":
            raise SystemExit(3)
        case "kill":
            _die()
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
            _enqueue_in_threads(name, job.id, ("threaded",))
        case "threads":
            _enqueue_in_threads(name, job.id)
        case "fork":
            return name if _knows_its_job(job.id) else LOST
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


def _enqueue_in_threads(name: str, job_id: str, children: Sequence[str] = ("child", "threaded")) -> None:
    """Enqueue each child in a thread of its own. A thread ends before the next begins, or a seed would not replay."""
    for child in children:
        options = {"id": f"{job_id}.{child}"}
        thread = Thread(target=enqueue, args=("plain", {"name": f"{name}-{child}", "steps": ["ok"]}), kwargs=options)
        thread.start()
        thread.join()


def _die() -> None:
    """End the process, as memory that runs out does, unless two before it have died on the same message."""
    process = current_process.get()
    assert process is not None
    if not process.spared:
        process.kill()


def _validated(name: str) -> str:
    """Kill the worker that reads a deadly name, also one that no other fault may end: it has replaced its messages."""
    process = current_process.get()
    if name == DEADLY and process is not None and "#" in process.name:  # one of a worker
        process.kill()
    return name


Name = Annotated[str, AfterValidator(_validated)]


def _knows_its_job(job_id: str) -> bool:
    """Fork; returns whether the child process is in the job too."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the threads there are do nothing that the child needs
        child = os.fork()
    if child == 0:
        code = 1
        try:
            code = current_job().id != job_id
        finally:
            os._exit(code)
    return os.waitpid(child, 0)[1] == 0


def _freeze(*, overlap: bool) -> None:
    """Let the process stand still until another worker has received its message and runs the job, or has run it."""
    process = current_process.get()
    assert process is not None
    if process.deadline is not None and not process.spared:
        left = (process.deadline - process.clock.now()) / 1000
        process.deadline = process.soft_limit_at = None
        time.sleep(6 * left + (3 if overlap else 12))


@task(retry=Retry(max_attempts=3, base="10s"), timeout="1m", soft_timeout="20s", max_concurrency=3)
def plain(name: Name, steps: list[str]) -> str:
    """An ordinary task."""
    return act(name, steps)


@task(
    priorities=("high", "default"),
    batch_size=4,
    on_success="note",
    on_failure="note",
    retry=Retry(max_attempts=2),
    result_ttl="90d",
)
def urgent(name: Name, steps: list[str]) -> str:
    """One with lanes and follow-ups, whose results are read for long."""
    return act(name, steps)


@task(rate_limit=RateLimit("20/m", burst=2), retry=Retry(max_attempts=2), batch_size=5, max_concurrency=2)
def limited(name: Name, steps: list[str]) -> str:
    """One with a rate limit."""
    return act(name, steps)


@task(rate_limit=RateLimit("8/d"), retry=Retry(max_attempts=2), batch_size=5, max_concurrency=2)
def rare(name: Name, steps: list[str]) -> str:
    """One whose jobs wait for hours and days in the line of its rate limit."""
    return act(name, steps)


@task(retry=Retry(max_attempts=1), timeout="10s", batch_size=10, max_concurrency=2)
def once(name: Name, steps: list[str]) -> str:
    """One with a single attempt."""
    return act(name, steps)


@task(retry=Retry(max_attempts=4, base="20m", cap="12h"), expires="1h", max_concurrency=2)
async def patient(name: Name, steps: list[str]) -> str:
    """An asynchronous one that waits long and expires."""
    return act(name, steps)


@task(retry=Retry(max_attempts=5))
def note(job: dict[str, Any]) -> str:
    """What follows other jobs; its result is what it was told."""
    return json.dumps(job)


TASKS = (plain, urgent, limited, rare, once, patient, note)
ACTING = ("plain", "urgent", "limited", "once", "patient")
