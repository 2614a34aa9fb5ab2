"""Simulated processes, which can be killed. Each invocation runs in a process; a program that enqueues is one too."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from offload.core.tasks.control import SoftTimeLimitExceeded

if TYPE_CHECKING:
    from offload.core.clock import Clock


class Killed(BaseException):
    """Raised in a process that is killed. The process does nothing after this."""


@dataclass(slots=True)
class Process:
    """A process under the virtual clock.

    Attributes:
        name: Name of the process in the trace.
        clock: The virtual clock.
        deadline: When Lambda kills the process, epoch milliseconds; None for never.
        soft_limit_at: When the current run reaches its soft limit, epoch milliseconds; None when no run is going on.
        dead: True when the process was killed.
        spared: True when no fault may end the process or make it stand still.
    """

    name: str
    clock: Clock
    deadline: int | None = None
    soft_limit_at: int | None = None
    dead: bool = False
    spared: bool = False

    def kill(self) -> NoReturn:
        """End the process at this point, as `os._exit`, the memory limit and the Lambda timeout do.

        Raises:
            Killed: Always.
        """
        self.dead = True
        raise Killed

    def limits(self) -> list[int]:
        """Return the moments at which the process reaches its limits, epoch milliseconds."""
        return [limit for limit in (self.deadline, self.soft_limit_at) if limit is not None]

    def check(self) -> None:
        """Raise an error when the process has reached a limit.

        Raises:
            Killed: The process is dead, or its deadline has passed.
            SoftTimeLimitExceeded: The current run has reached its soft limit; raised once for each run.
        """
        now = self.clock.now()
        if self.dead or (self.deadline is not None and now >= self.deadline):
            self.kill()
        if self.soft_limit_at is not None and now >= self.soft_limit_at:
            self.soft_limit_at = None
            raise SoftTimeLimitExceeded("the job ran into its soft limit")


current_process: ContextVar[Process | None] = ContextVar("offload_process", default=None)
"""The process that runs now; None when the test itself runs."""
