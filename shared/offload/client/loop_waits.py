"""The waits of event loops: each belongs to one loop, which alone settles it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable

    from offload.core.jobs.job import Job
    from offload.core.jobs.polling import Wait
    from offload.core.records import JobRecord


@dataclass(slots=True, eq=False)
class LoopWait:
    """One wait of one loop.

    Attributes:
        job_id: The job.
        read: Makes the job of its record, or of there being none; raises what the caller is to be told.
        wait: When it is looked at.
        future: Where the caller waits.
        loop: The future's loop.
        looked_at: The first look was answered, or has failed.
        given_up: The caller waits no more.
    """

    job_id: str
    read: Callable[[JobRecord | None], Job]
    wait: Wait
    future: asyncio.Future[Job]
    loop: asyncio.AbstractEventLoop
    looked_at: bool = False
    given_up: bool = False

    def time_out(self) -> None:
        """Tell the caller that the time is over; called by the loop."""
        if not self.future.done():
            self.future.set_exception(self.wait.timed_out(self.job_id))

    def time_out_if_looked_at(self) -> None:
        """Do so unless the first look is still under way."""
        if self.looked_at:
            self.time_out()


@dataclass(slots=True)
class Answers:
    """What a round of looks has found out, by loop."""

    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Job], Job | Exception]]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def tell(self) -> None:
        """Tell each loop in one call."""
        for loop, answers in self.by_loop.items():
            try:
                loop.call_soon_threadsafe(_settle, answers)
            except RuntimeError:  # it was closed meanwhile, so nobody waits
                continue


def _settle(answers: Iterable[tuple[asyncio.Future[Job], Job | Exception]]) -> None:
    for future, answer in answers:
        if future.done():
            continue
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
