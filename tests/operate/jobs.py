"""The tasks of an operator's tests, and jobs of them that have failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from offload import Permanent, Retry, task

if TYPE_CHECKING:
    from offload import JobHandle
    from offload.testing import Pipeline


@task(priorities=("default", "high"), retry=Retry(max_attempts=1), batch_size=10)
def work(name: str = "", fail: bool = True) -> str:
    if fail:
        raise Permanent(f"no account {len(name)}: {name!r}")
    return name


@task
def other() -> None: ...


def fail_jobs(world: Pipeline, number: int, lane: str = "default") -> list[JobHandle[str]]:
    """Enqueue jobs that fail, and return their handles a minute after their messages are in the dead-letter queue."""
    jobs = [work.options(priority=lane).delay(str(n)) for n in range(number)]
    world.run_until_idle()
    world.clock.advance(60)
    return jobs


def hidden(world: Pipeline) -> int:
    """Return how many dead letters nobody can receive at this moment."""
    return sum(message.visible_at > world.clock.now() for message in world.dead("work"))
