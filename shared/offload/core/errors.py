"""Every error the library raises, grouped by what the caller does next.

| class                     | what to do                                              |
|---------------------------|---------------------------------------------------------|
| `DefinitionError`         | fix the task's code or the app's settings               |
| `PayloadError`            | fix the arguments                                       |
| `WrongResult`             | fix the task: what it returns, or its annotation        |
| `MessageError`            | fix the producer; the message is dead-lettered          |
| `UnknownTask`/`UnknownJob`| check the name or the id                                |
| `IdTaken`                 | choose another job id: this one is another job's        |
| `KeyReused`               | choose another key, or say that the arguments may differ|
| `WrongState`              | the job cannot be retried as it stands; the text says why|
| `NoDeadLetter`            | look into the dead-letter queue, or enqueue the job anew|
| `Unavailable`             | try again later: the service throttled or did not answer|
| `Refused`                 | `lasting`: mend the request; else ask an operator       |
| `JobFailed` and siblings  | the job ended without a result; look at the error       |

`Permanent`, `RetryLater` and `SoftTimeLimitExceeded` travel the other way: a task raises or catches them; they are in
`core/tasks/control.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


_LEAST_NEARNESS, _AS_NEAR = 0.55, 0.07
"""A name is near to another from this ratio of common letters on; two names count as equally near within the second."""


class OffloadError(Exception):
    """Base of every error of this library."""


class DefinitionError(OffloadError):
    """A task, a setting or a `functions/` folder is wrong. The message names the setting and the fix."""


class PayloadError(OffloadError):
    """Arguments do not fit the task's signature."""


class WrongResult(PayloadError):
    """A task returned what its annotation does not allow, or what has no JSON form. No further attempt changes that."""


class MessageError(OffloadError):
    """A queue message breaks the message contract."""


class UnknownTask(OffloadError):
    """No task of that name is deployed (or found under `functions/`)."""


class UnknownJob(OffloadError):
    """No record of that job id: never accepted, or older than the record's lifetime."""


class IdTaken(OffloadError):
    """A job id belongs to another task, or to a job that was enqueued without the key given; a stack has each id once.

    Attributes:
        job_id: The id.
        owner: The task that it belongs to.
        key: The key that was given with the id of a job of the same task.
    """

    def __init__(self, job_id: str, owner: str, key: str | None = None) -> None:
        """Name them, and nothing else of the other job."""
        if key is None:
            text = f"job id {job_id!r} belongs to task {owner!r}: choose another id"
        else:
            text = (
                f"job id {job_id!r} belongs to a job of task {owner!r} that was enqueued without key={key!r}: choose "
                "another id, or leave out the id or the key"
            )
        super().__init__(text)
        self.job_id = job_id
        self.owner = owner
        self.key = key

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle what it was made of, so that another process of the caller can be told."""
        return type(self), (self.job_id, self.owner, self.key)


class KeyReused(OffloadError):
    """An idempotency key was used again with other arguments.

    Attributes:
        task: The task.
        key: The key.
        job_id: The job that the key names.
    """

    def __init__(self, task: str, key: str, job_id: str) -> None:
        """Name the key, and what to do."""
        super().__init__(
            f"key={key!r} of task {task!r} names job {job_id!r}, which has other arguments: use another key, give the "
            "same arguments, or say key_may_differ=True to get that job whatever its arguments are"
        )
        self.task = task
        self.key = key
        self.job_id = job_id

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle what it was made of."""
        return type(self), (self.task, self.key, self.job_id)


class WrongState(OffloadError):
    """A job cannot be retried in the state it is in. The message names the state and what to do instead."""


class NoDeadLetter(OffloadError):
    """A failed job's message is not in its dead-letter queue: purged, expired after 14 days, or still on its way."""


class Unavailable(OffloadError):
    """A service throttled, failed or did not answer, and bounded retries did not help. Safe to try again."""


class Refused(OffloadError):
    """A service refused the request: trying again at once does not help.

    Attributes:
        lasting: True when this request can never be right, such as a value that is too large. False when time, a
            deployment or fresh credentials may cure it, such as a permission or a resource that is missing.
    """

    def __init__(self, message: str, *, lasting: bool = True) -> None:
        """Keep what was refused, and whether that can change."""
        super().__init__(message)
        self.lasting = lasting


class LeaseLost(OffloadError):
    """Another worker has claimed the job meanwhile, so nothing of this run is recorded any more."""


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

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle what it was made of."""
        return type(self), (self.job_id, self.error)


class JobCancelled(OffloadError):
    """The job ended CANCELLED."""


class JobExpired(OffloadError):
    """The job ended EXPIRED: its `expires` passed before it could start."""


class ResultTimeout(OffloadError, TimeoutError):
    """The job did not finish within the time the caller was ready to wait. The job goes on."""


class ResultExpired(OffloadError):
    """The job succeeded, but its result's `result_ttl` has passed."""


def unknown_job(job_id: str, stack: str) -> UnknownJob:
    """Return the error for a job that has no record, which says why there may be none."""
    return UnknownJob(
        f"no job {job_id!r} in stack {stack!r}: check the id; records live 35 days. Or the job waits: one that was "
        "enqueued with track='start', or by a message of another program, has no record until a worker receives it"
    )


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ` (did you mean 'timeout'?)` with the known names that are near to an unknown one, else nothing."""
    from difflib import SequenceMatcher  # only an error needs it

    nearness = {each: SequenceMatcher(None, name, each).ratio() for each in known}
    least = max(_LEAST_NEARNESS, max(nearness.values(), default=0) - _AS_NEAR)
    nearest = sorted((each for each in nearness if nearness[each] >= least), key=nearness.__getitem__, reverse=True)
    return f" (did you mean {' or '.join(map(repr, nearest))}?)" if nearest else ""
