"""When a job that is waited for is looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from offload.core.durations import seconds
from offload.core.errors import ResultTimeout

if TYPE_CHECKING:
    from offload.core.durations import Duration
    from offload.core.jobs.job import Job

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0
"""Seconds between two looks at a job: at first, and at most. Each pause is half as long again as the one before."""

_LONGEST_TIMEOUT = 3650 * 86_400
"""Seconds: ten years, more than any job takes."""


def timeout_seconds(timeout: Duration) -> float:
    """Return how long a caller is ready to wait; a time that is over, as a subtraction may give one, is 0.

    Raises:
        DefinitionError: It is no duration.
    """
    return max(0.0, seconds(timeout, field="timeout", least=-_LONGEST_TIMEOUT, most=_LONGEST_TIMEOUT))


class Wait(NamedTuple):
    """A wait for the end of a job.

    Attributes:
        timeout: Seconds that the caller is ready to wait; None: as long as it takes.
        until: Their end in epoch milliseconds.
        pause: Seconds to the next look, if the caller waits that long.
    """

    timeout: float | None
    until: float | None
    pause: float = FIRST_PAUSE

    @classmethod
    def begin(cls, timeout: Duration | None, now: int) -> Wait:
        """Return a wait that begins now.

        Raises:
            DefinitionError: `timeout` is no duration.
        """
        if timeout is None:
            return cls(None, None)
        given = timeout_seconds(timeout)
        return cls(given, now + given * 1000)

    def after_look(self, job: Job, now: int) -> tuple[float, Wait]:
        """Return the seconds to the next look and the wait after it, for a job that has not ended.

        Raises:
            ResultTimeout: The time is over.
        """
        left = None if self.until is None else (self.until - now) / 1000
        if left is not None and left <= 0:
            raise ResultTimeout(f"job {job.id} is {job.state} after {self.timeout:g} s; it goes on")
        pause = self.pause if left is None else min(self.pause, left)
        return pause, self._replace(pause=min(self.pause * 1.5, LONGEST_PAUSE))
