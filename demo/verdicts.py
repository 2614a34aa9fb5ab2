"""How each of the demo's jobs ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from demo.trials import judge

if TYPE_CHECKING:
    from demo.trials import Trial
    from offload import Job


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one job ended.

    Attributes:
        trial: The job.
        state: Its state.
        attempts: How often its function started.
        seconds: From enqueueing to its end; None when it has not ended.
        dead_letter: Whether its message lies in the dead-letter queue.
        reason: Why it failed, in a line.
        difference: What is not as expected; None when all is.
    """

    trial: Trial
    state: str
    attempts: int
    seconds: float | None
    dead_letter: bool
    reason: str
    difference: str | None

    @classmethod
    def of(cls, trial: Trial, job: Job | None, *, dead_letter: bool) -> Verdict:
        """Judge a job by its record and by whether its message lies in the dead-letter queue."""
        ended = job and job.finished_at is not None and job.created_at is not None
        return cls(
            trial=trial,
            state=job.state if job else "UNKNOWN",
            attempts=job.attempt if job else 0,
            seconds=((job.finished_at or 0) - (job.created_at or 0)) / 1000 if job and ended else None,
            dead_letter=dead_letter,
            reason=(job.reason or "") if job else "",
            difference=judge(trial.expected, job, dead_letter=dead_letter),
        )

    @property
    def ok(self) -> bool:
        """Whether the job ended as it should."""
        return self.difference is None

    def describe(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "task": self.trial.task,
            "what": self.trial.title,
            "job_id": self.trial.job_id,
            "expected": str(self.trial.expected),
            "state": str(self.state),
            "attempts": self.attempts,
            "seconds": self.seconds,
            "in_dlq": self.dead_letter,
            "reason": self.reason,
            "ok": self.ok,
            "difference": self.difference,
        }
