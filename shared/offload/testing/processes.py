"""Simulated processes, which can be killed. Each invocation runs in a process; a program that enqueues is one too."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from offload.core.tasks.control import SoftTimeLimitExceeded

if TYPE_CHECKING:
    from offload.memory.clock import VirtualClock


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
        limits_raised: Number of exceptions of the soft limit in the current run.
        dead: True when the process was killed.
        spared: True when no fault may end the process or make it stand still.
    """

    name: str
    clock: VirtualClock
    deadline: int | None = None
    soft_limit_at: int | None = None
    limits_raised: int = 0
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
        self.check_alive()
        if self.soft_limit_at is not None and self.clock.now() >= self.soft_limit_at:
            self.soft_limit_at = None
            self.limits_raised += 1
            raise SoftTimeLimitExceeded("the job ran into its soft limit")

    def check_alive(self) -> None:
        """Raise an error when the process has reached its end; its soft limit is left to others.

        Raises:
            Killed: The process is dead, or its deadline has passed.
        """
        if self.dead or (self.deadline is not None and self.clock.now() >= self.deadline):
            self.kill()

    def pass_time(self, milliseconds: int) -> None:
        """Let time pass, at most until the process reaches its deadline.

        Raises:
            Killed: The process has reached it.
        """
        moment = self.clock.now() + milliseconds
        self.clock.advance_to(moment if self.deadline is None else min(moment, self.deadline))
        self.check_alive()


current_process: ContextVar[Process | None] = ContextVar("offload_process", default=None)
"""The process that runs now; None when the test itself runs."""
