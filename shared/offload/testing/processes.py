"""Processes: what an invocation, or a program that enqueues, runs in, and how one dies."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from offload.core.errors import SoftTimeLimitExceeded

if TYPE_CHECKING:
    from offload.core.clock import Clock


class Killed(BaseException):
    """The process is gone: nothing that it would have done after this happens."""


@dataclass(slots=True)
class Process:
    """A process under the virtual clock.

    Attributes:
        name: What a trace calls it.
        clock: Its time.
        deadline: When Lambda kills it, epoch milliseconds; None lets it live.
        soft: When the run in it reaches its soft limit, epoch milliseconds; None while it runs nothing.
        dead: It was killed.
    """

    name: str
    clock: Clock
    deadline: int | None = None
    soft: int | None = None
    dead: bool = False

    def kill(self) -> NoReturn:
        """End the process here, as `os._exit`, the memory limit or the Lambda timeout do.

        Raises:
            Killed: Always.
        """
        self.dead = True
        raise Killed

    def limits(self) -> list[int]:
        """Return the moments at which its limits are reached, epoch milliseconds."""
        return [limit for limit in (self.deadline, self.soft) if limit is not None]

    def check(self) -> None:
        """Go on only within the limits.

        Raises:
            Killed: It is dead, or its time is over.
            SoftTimeLimitExceeded: Its run has reached the soft limit; raised once.
        """
        now = self.clock.now()
        if self.dead or (self.deadline is not None and now >= self.deadline):
            self.kill()
        if self.soft is not None and now >= self.soft:
            self.soft = None
            raise SoftTimeLimitExceeded("the job ran into its soft limit")


running: ContextVar[Process | None] = ContextVar("offload_process", default=None)
"""The process that acts now; None is the test itself."""
