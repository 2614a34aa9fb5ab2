"""Dead letters that a test did not expect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from offload.core.errors import UnknownTask, did_you_mean
from offload.core.jobs.state import State

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from offload.operate.dead_letters import DeadLetter


class DeadLettered(AssertionError):
    """Messages came to a dead-letter queue, and the test did not expect them there."""


def check_expected(names: Iterable[str], deployed: Collection[str]) -> None:
    """Check the names of tasks whose dead letters a test expects.

    Raises:
        UnknownTask: A task of such a name is not deployed.
    """
    for name in names:
        if name not in deployed:
            known, hint = ", ".join(sorted(deployed)) or "none", did_you_mean(name, deployed)
            raise UnknownTask(f"expect_dead_letters({name!r}): no such task is deployed{hint}; there are {known}")


def check_unexpected(dead_letters: Iterable[DeadLetter]) -> None:
    """Check that there are none. A late copy of a job's message does not count when the job ended well.

    Raises:
        DeadLettered: There are some. The message names each job and its error.
    """
    __tracebackhide__ = True
    found = [dead_letter for dead_letter in dead_letters if not _ended_well(dead_letter)]
    if found:
        lines = [f"  {dead_letter.task}: {_reason(dead_letter)}" for dead_letter in found]
        hint = f"{len(found)} unexpected dead letters; a test that expects them calls expect_dead_letters()"
        raise DeadLettered("\n".join([hint, *lines]))


def _ended_well(dead_letter: DeadLetter) -> bool:
    return dead_letter.job is not None and dead_letter.job.state.ended and dead_letter.job.state is not State.FAILED


def _reason(dead_letter: DeadLetter) -> str:
    if dead_letter.job is None:
        return f"no job record: {dead_letter.body[:200]}"
    lines = dead_letter.job.error["traceback"].splitlines() if dead_letter.job.error else []
    places = [line.strip() for line in lines if line.lstrip().startswith("File ")]
    where = f" ({places[-1]})" if places else ""
    return f"job {dead_letter.job.id} is {dead_letter.job.state}: {dead_letter.reason}{where}"
