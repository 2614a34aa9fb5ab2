"""The exceptions by which a task steers its own job: it raises the first two and may catch the third."""

from __future__ import annotations

from typing import TYPE_CHECKING

from offload.core.durations import seconds
from offload.core.errors import OffloadError
from offload.core.retention import LONGEST_DELAY

if TYPE_CHECKING:
    from offload.core.durations import Duration


class Permanent(OffloadError):
    """Raise it in a task when no further attempt can help: the job fails and its message goes to the DLQ at once."""


class RetryLater(OffloadError):
    """Raise it in a task to be run again by choice.

    The run counts as an attempt; a job that has none left fails.

    Args:
        reason: Shown in the job's history.
        delay: How long to wait, such as `"5m"`, `timedelta(minutes=5)` or seconds, at most 365 days; None takes the
            task's backoff.
    """

    def __init__(self, reason: str = "asked to run again later", *, delay: Duration | None = None) -> None:
        """Check the delay at once, where the mistake can be seen."""
        super().__init__(reason)
        self.delay: float | None = None if delay is None else seconds(delay, field="delay", most=LONGEST_DELAY)


class SoftTimeLimitExceeded(OffloadError):
    """Raised inside a task that reaches its `soft_timeout`, in time to clean up before the hard limit."""
