"""When a job that is waited for is looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from offload.core.durations import seconds
from offload.core.errors import ResultTimeout

if TYPE_CHECKING:
    from offload.core.durations import Duration
    from offload.core.errors import Unavailable
    from offload.core.jobs.job import Job

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0
"""Seconds between two looks at a job: at first, and at most. Each pause is half as long again as the one before."""

LONGEST_FAILURE = 60.0
"""Seconds of failed looks, one after the other, after which a wait with time left ends too."""

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
        seen: The job's state at the last look that was answered.
        failure: Why the last look failed; None: it was answered, or there was none.
        failing_since: When the first look failed of those that failed since one was answered, in epoch milliseconds.
    """

    timeout: float | None
    until: float | None
    pause: float = FIRST_PAUSE
    seen: str | None = None
    failure: Unavailable | None = None
    failing_since: int | None = None

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
        wait = self._replace(seen=str(job.state), failure=None, failing_since=None)
        return _next_look(wait, job.id, now)

    def after_failure(self, job_id: str, failure: Unavailable, now: int) -> tuple[float, Wait]:
        """Return the seconds to the next look and the wait after it, when a look was not answered.

        Raises:
            ResultTimeout: The time is over.
            Unavailable: Looks have failed for a minute.
        """
        since = now if self.failing_since is None else self.failing_since
        pause, wait = _next_look(self._replace(failure=failure, failing_since=since), job_id, now)
        if now - since >= LONGEST_FAILURE * 1000:
            raise failure
        return pause, wait

    def timed_out(self, job_id: str) -> ResultTimeout:
        """Return the error for a caller whose time is over."""
        if self.failure is not None:
            error = ResultTimeout(f"job {job_id} is not known to have ended after {self.timeout:g} s: {self.failure}")
            error.__cause__ = self.failure
            return error
        if self.seen is None:
            return ResultTimeout(f"nothing is known of job {job_id} after {self.timeout:g} s: no look was answered")
        return ResultTimeout(f"job {job_id} is {self.seen} after {self.timeout:g} s; it goes on")


def _next_look(wait: Wait, job_id: str, now: int) -> tuple[float, Wait]:
    left = None if wait.until is None else (wait.until - now) / 1000
    if left is not None and left <= 0:
        raise wait.timed_out(job_id)
    pause = wait.pause if left is None else min(wait.pause, left)
    return pause, wait._replace(pause=min(wait.pause * 1.5, LONGEST_PAUSE))
