"""How the steps of a message's way through the worker come out: one class for each case.

| step           | comes out as                                                                                     |
|----------------|--------------------------------------------------------------------------------------------------|
| decode         | a `Delivery`, or `Unreadable`                                                                    |
| check          | `Ready`, or `HasEnded`, `HasFailed`, `NotNow`                                                    |
| claim          | `Claimed`, or `HasEnded`, `HasFailed`, `NotNow`, `Postponed`                                     |
| run            | `Run`                                                                                            |
| record the end | `RunEnded`, `RunRetries`, `RunOvertaken`                                                         |
| whole message  | `Acknowledge`, `ReturnToQueue`, `ToDeadLetterQueue`, `LeaveHidden`, `Postponed`                  |

They are named tuples: making a frozen dataclass costs five times the processor time, at every cold start.
"""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from offload.core.errors import OffloadError
    from offload.core.jobs.state import State
    from offload.core.messages.delivery import Delivery
    from offload.core.records import ErrorRecord, JobRecord
    from offload.runtime.running_job import RunningJob


class BatchPass(IntEnum):
    """The passes over a batch. A message that is postponed is handled again in a later pass."""

    FIRST = 1
    UNANSWERED_CLAIMS = 2
    """Claims whose answer was lost. They are repeated until they are answered, which now delays no other message."""
    AFTER_CRASH = 3
    """Jobs on which an earlier worker died. When one of them kills this worker too, all others are done."""


# Decode and check


class Unreadable(NamedTuple):
    """The message breaks the contract, or is meant for another task; `delivery` has the part that could be read."""

    delivery: Delivery
    error: OffloadError


class Ready(NamedTuple):
    """Nothing speaks against a run with these arguments; None when they are read after the claim."""

    arguments: dict[str, Any] | None


# A claim


class Claimed(NamedTuple):
    """The job is claimed, and its record is as given: run it with the arguments, once they are read."""

    record: JobRecord
    arguments: dict[str, Any] | None = None


class HasEnded(NamedTuple):
    """The job has ended without a failure; `recorded_now` when this worker has just recorded that."""

    record: JobRecord
    recorded_now: bool = False

    @property
    def is_new(self) -> bool:
        """Whether this worker has just recorded that."""
        return self.recorded_now


class HasFailed(NamedTuple):
    """The job has failed.

    Attributes:
        record: Its record; empty when the record belongs to another message with the same job id.
        error: Why, when this worker has just recorded it.
        must_name_job: As in `ToDeadLetterQueue`.
    """

    record: JobRecord
    error: ErrorRecord | None = None
    must_name_job: bool = True

    @property
    def is_new(self) -> bool:
        """Whether this worker has just recorded that."""
        return self.error is not None


class NotNow(NamedTuple):
    """The job is not to run before epoch milliseconds `until`."""

    until: int
    why: str


class Postponed(NamedTuple):
    """Handle the message again in a later pass over the batch."""

    batch_pass: BatchPass


NotClaimed = HasEnded | HasFailed | NotNow | Postponed


# A run


class Run(NamedTuple):
    """A run that is over.

    Attributes:
        job: What `current_job()` was in it.
        result: `result` or `result_ref`, as the record keeps it; nothing for None.
        error: What the task raised; None when it returned.
        usage: `duration_ms`, `cpu_ms` and `memory_mb`.
    """

    job: RunningJob
    result: Mapping[str, Any]
    error: BaseException | None
    usage: dict[str, int]

    @property
    def attributes(self) -> dict[str, Any]:
        """What the record keeps of every run, however it ended: its usage, and the progress it told last."""
        return {"usage": self.usage, **self.job.last_progress()}


class RunEnded(NamedTuple):
    """The job has ended with its run: `state` is SUCCEEDED, FAILED or CANCELLED; the record is as it is afterwards."""

    state: State
    record: JobRecord


class RunRetries(NamedTuple):
    """The run failed, and another attempt starts at epoch milliseconds `due`."""

    due: int


class RunOvertaken:
    """Another worker has claimed the job meanwhile, and nothing of this run was recorded."""


EndOutcome = RunEnded | RunRetries | RunOvertaken


# A message


class Acknowledge:
    """The message is done; Lambda deletes it."""


class ReturnToQueue(NamedTuple):
    """The message goes back to its queue, and its job waits until epoch milliseconds `until`; `why` is for the log."""

    until: int
    why: str


class ToDeadLetterQueue(NamedTuple):
    """The message fails until its queue moves it to the dead-letter queue.

    Attributes:
        must_name_job: A message without a job's id is replaced by a copy that has it. A redrive gives a message a new
            id, so that without it the message would come back as another job.
    """

    must_name_job: bool


class LeaveHidden:
    """The message is not done and keeps its visibility timeout."""


Disposition = Acknowledge | ReturnToQueue | ToDeadLetterQueue | LeaveHidden | Postponed


class BatchAnswer(Enum):
    """What the batch response says of a message."""

    DONE = "deleted by Lambda"
    NOT_DONE = "kept by its queue"
