"""Every error the library raises, grouped by what the caller does next.

| class                     | what to do                                              |
|---------------------------|---------------------------------------------------------|
| `DefinitionError`         | fix the task's code or the app's settings               |
| `PayloadError`            | fix the arguments                                       |
| `MessageError`            | fix the producer; the message is dead-lettered          |
| `UnknownTask`/`UnknownJob`| check the name or the id                                |
| `WrongState`              | the job cannot be retried as it stands; the text says why|
| `NoDeadLetter`            | look into the dead-letter queue, or enqueue the job anew|
| `Unavailable`             | try again later: the service throttled or did not answer|
| `Refused`                 | ask an operator: permissions, missing stack, bad request|
| `JobFailed` and siblings  | the job ended without a result; look at the error       |

`Permanent`, `RetryLater` and `SoftTimeLimitExceeded` travel the other way: a task raises or catches them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class OffloadError(Exception):
    """Base of every error of this library."""


class DefinitionError(OffloadError):
    """A task, a setting or a `functions/` folder is wrong. The message names the setting and the fix."""


class PayloadError(OffloadError):
    """Arguments do not fit the task's signature."""


class MessageError(OffloadError):
    """A queue message breaks the message contract."""


class UnknownTask(OffloadError):
    """No task of that name is deployed (or found under `functions/`)."""


class UnknownJob(OffloadError):
    """No record of that job id: never accepted, or older than the record's lifetime."""


class WrongState(OffloadError):
    """A job cannot be retried in the state it is in. The message names the state and what to do instead."""


class NoDeadLetter(OffloadError):
    """A failed job's message is not in its dead-letter queue: purged, expired after 14 days, or still on its way."""


class Unavailable(OffloadError):
    """A service throttled, failed or did not answer, and bounded retries did not help. Safe to try again."""


class Refused(OffloadError):
    """A service refused the request for good (permissions, missing resource, invalid request)."""


class LeaseLost(OffloadError):
    """This run was overtaken: another worker holds the job now, and nothing of this run is recorded."""


class JobFailed(OffloadError):
    """The job ended FAILED.

    Attributes:
        job_id: The job.
        error: `type`, `message`, `traceback` and `attempt` of the last error.
    """

    def __init__(self, job_id: str, error: Mapping[str, Any]) -> None:
        """Keep the job id and its recorded error."""
        super().__init__(f"job {job_id} failed: {error.get('type', 'Error')}: {error.get('message', '')}")
        self.job_id = job_id
        self.error = dict(error)


class JobCancelled(OffloadError):
    """The job ended CANCELLED."""


class JobExpired(OffloadError):
    """The job ended EXPIRED: its `expires` passed before it could start."""


class ResultTimeout(OffloadError, TimeoutError):
    """The job did not finish within the time the caller was ready to wait. The job goes on."""


class ResultExpired(OffloadError):
    """The job succeeded, but its result's `result_ttl` has passed."""


class Permanent(OffloadError):
    """Raise it in a task when no further attempt can help: the job fails and its message goes to the DLQ at once."""


class RetryLater(OffloadError):
    """Raise it in a task to be run again by choice.

    The run counts as an attempt; a job that has none left fails.

    Args:
        reason: Shown in the job's history.
        delay: How long to wait, such as `"5m"`, `timedelta(minutes=5)` or seconds; None takes the task's backoff.
    """

    def __init__(self, reason: str = "asked to run again later", *, delay: Any = None) -> None:
        """Check the delay at once, where the mistake can be seen."""
        from offload.core.durations import seconds  # durations stands on this module

        super().__init__(reason)
        self.delay = None if delay is None else seconds(delay, field="delay")


class SoftTimeLimitExceeded(OffloadError):
    """Raised inside a task that reaches its `soft_timeout`, in time to clean up before the hard limit."""
