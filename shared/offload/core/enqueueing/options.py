"""How one job is enqueued: the options, checked."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from typing_extensions import TypedDict

from offload.core.durations import Duration, seconds
from offload.core.errors import DefinitionError, did_you_mean
from offload.core.ids import check_job_id
from offload.core.jobs.record import LONGEST_DELAY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LONGEST_TEXT = 128


class EnqueueOptions(TypedDict, total=False):
    """The options of one job by name, as `Task.options`, `enqueue` and `Client.enqueue` take them.

    Attributes:
        delay: Wait this long before the first attempt, at most 365 days.
        priority: One of the task's `priorities`.
        key: Idempotency key: for a day from its first use it names one job of this task, which is returned instead,
            unless that job was cancelled or expired before it ever started.
        tenant: Fairness group, so that one tenant's backlog does not hold up the others.
        expires: End EXPIRED instead of starting after this long.
        id: The job's id; None draws one.
    """

    delay: Duration | None
    priority: str | None
    key: str | None
    tenant: str | None
    expires: Duration | None
    id: str | None


@dataclass(frozen=True, slots=True)
class CheckedOptions:
    """The options of one job, checked; see `EnqueueOptions`."""

    delay: Duration | None = None
    priority: str | None = None
    key: str | None = None
    tenant: str | None = None
    expires: Duration | None = None
    id: str | None = None

    def __post_init__(self) -> None:
        """Check each option; the error names it."""
        if self.delay is not None:
            seconds(self.delay, field="delay", most=LONGEST_DELAY)
        if self.expires is not None:
            seconds(self.expires, field="expires", least=1)
        if self.id is not None:
            check_job_id(self.id)
        for name in ("key", "tenant"):
            value = getattr(self, name)
            if value is not None and not (
                isinstance(value, str) and 0 < len(value) <= _LONGEST_TEXT and value.isprintable()
            ):
                msg = f"{name}={value!r} must be a printable text of 1 to {_LONGEST_TEXT} characters"
                raise DefinitionError(msg)

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> CheckedOptions:
        """Take options by name.

        Raises:
            DefinitionError: One is unknown or wrong; names it, and the nearest known name.
        """
        known = [item.name for item in fields(cls)]
        unknown = set(given) - set(known)
        if unknown:
            name = min(unknown)
            msg = f"unknown option {name!r}{did_you_mean(name, known)}: choose from {', '.join(known)}"
            raise DefinitionError(msg)
        return cls(**given)

    @property
    def delay_seconds(self) -> float:
        """The delay in seconds; 0 for none."""
        return 0.0 if self.delay is None else seconds(self.delay, field="delay")

    def check_lane(self, task: str, lanes: Sequence[str]) -> None:
        """Refuse a priority that the task does not declare.

        Raises:
            DefinitionError: It does not; names the task's lanes.
        """
        if self.priority is not None and self.priority not in lanes:
            msg = f"priority={self.priority!r}: task {task!r} has the lanes {', '.join(lanes)}"
            raise DefinitionError(msg)
