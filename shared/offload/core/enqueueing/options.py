"""How one job is enqueued: the options, checked."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, get_args

from typing_extensions import TypedDict

from offload.core.durations import Duration, seconds
from offload.core.errors import DefinitionError, did_you_mean
from offload.core.ids import check_job_id
from offload.core.jobs.idempotency_keys import LONGEST_KEY_WINDOW, SHORTEST_KEY_WINDOW
from offload.core.retention import LONGEST_DELAY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LONGEST_TEXT = 128

Track = Literal["enqueue", "start"]
"""When a job's record is written: by its producer, or only when a worker starts the job."""

TRACKS: tuple[str, ...] = get_args(Track)


class EnqueueOptions(TypedDict, total=False):
    """The options of one job by name, as `Task.options`, `enqueue` and `Client.enqueue` take them.

    Attributes:
        delay: Wait this long before the first attempt, at most 365 days.
        eta: Start at this time instead, at most 365 days ahead: an aware datetime, or ISO 8601 text with an offset. A
            time that is past means at once.
        priority: One of the task's `priorities`.
        key: Idempotency key: from its first use it names one job of this task, which is returned instead, unless that
            job was cancelled or expired before it ever started.
        key_window: How long the key names its job, 1 minute to 30 days; None takes the task's `key_window`.
        key_may_differ: Return the key's job although it was enqueued with other arguments.
        tenant: Fairness group, so that one tenant's backlog does not hold up the others.
        expires: End EXPIRED instead of starting after this long.
        id: The job's id; None draws one.
        track: `"start"` writes no record before a worker starts the job; None takes the task's `track`.
    """

    delay: Duration | None
    eta: datetime | str | None
    priority: str | None
    key: str | None
    key_window: Duration | None
    key_may_differ: bool
    tenant: str | None
    expires: Duration | None
    id: str | None
    track: Track | None


@dataclass(frozen=True, slots=True)
class CheckedOptions:
    """The options of one job, checked; see `EnqueueOptions`."""

    delay: Duration | None = None
    eta: datetime | str | None = None
    priority: str | None = None
    key: str | None = None
    key_window: Duration | None = None
    key_may_differ: bool = False
    tenant: str | None = None
    expires: Duration | None = None
    id: str | None = None
    track: Track | None = None

    def __post_init__(self) -> None:
        """Check each option; the error names it."""
        if self.expires is not None:
            seconds(self.expires, field="expires", least=1)
        if self.delay is not None:
            self._check_delay(self.delay)
        if self.eta is not None:
            _moment(self.eta)
        if self.id is not None:
            check_job_id(self.id)
        if self.key_window is not None:
            seconds(self.key_window, field="key_window", least=SHORTEST_KEY_WINDOW, most=LONGEST_KEY_WINDOW)
        if self.track is not None and self.track not in TRACKS:
            raise DefinitionError(f"track={self.track!r} must be {' or '.join(map(repr, TRACKS))}")
        if not isinstance(self.key_may_differ, bool):
            raise DefinitionError(f"key_may_differ={self.key_may_differ!r} must be True or False")
        for name in ("key", "tenant"):
            value = getattr(self, name)
            if value is not None and not (
                isinstance(value, str) and 0 < len(value) <= _LONGEST_TEXT and value.isprintable()
            ):
                msg = f"{name}={value!r} must be a printable text of 1 to {_LONGEST_TEXT} characters"
                raise DefinitionError(msg)

    def _check_delay(self, delay: Duration) -> None:
        wait = seconds(delay, field="delay", most=LONGEST_DELAY)
        if self.eta is not None:
            raise DefinitionError(f"give delay={delay!r} or eta={self.eta!r}, not both: each says when the job starts")
        if wait:
            self._check_expiry(wait, f"delay={delay!r}")

    def _check_expiry(self, wait: float, given: str) -> None:
        if self.expires is not None and seconds(self.expires, field="expires") <= wait:
            msg = f"expires={self.expires!r} ends before {given} does, so the job could never start: give more"
            raise DefinitionError(msg)

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> CheckedOptions:
        """Take options by name.

        Raises:
            DefinitionError: One is unknown or wrong; names it, and the nearest known name.
        """
        unknown = set(given) - set(_DEFAULTS)
        if unknown:
            name = min(unknown)
            from offload.core.enqueueing.celery_names import hint  # only an error needs it

            msg = f"unknown option {name!r}{hint(name) or did_you_mean(name, _DEFAULTS)}: choose from "
            msg += ", ".join(_DEFAULTS)
            raise DefinitionError(msg)
        return cls(**given)

    def given(self) -> dict[str, Any]:
        """Return the options that are set, by name."""
        named = ((name, getattr(self, name)) for name in _DEFAULTS)
        return {name: value for name, value in named if value != _DEFAULTS[name]}

    def over(self, others: CheckedOptions) -> CheckedOptions:
        """Return these options, and of the others those that are not set here.

        Raises:
            DefinitionError: Two of them exclude each other.
        """
        own, rest = self.given(), others.given()
        if "delay" in own or "eta" in own:
            rest.pop("delay", None)
            rest.pop("eta", None)
        return CheckedOptions(**{**rest, **own}) if rest else self

    def start_at(self, now: int) -> int | None:
        """Return when the job is due, in epoch milliseconds; None for at once.

        Args:
            now: Epoch milliseconds.

        Raises:
            DefinitionError: `eta` is more than 365 days ahead, or `expires` ends before it.
        """
        if self.eta is not None:
            wait = _moment(self.eta) - now
            if wait > LONGEST_DELAY * 1000:
                raise DefinitionError(f"eta={self.eta!r} is more than {LONGEST_DELAY // 86_400} days ahead")
            if wait > 0:
                self._check_expiry(wait / 1000, f"the wait until eta={self.eta!r}")
        else:
            wait = int(seconds(self.delay, field="delay") * 1000) if self.delay is not None else 0
        return now + wait if wait > 0 else None

    def check_lane(self, task: str, lanes: Sequence[str]) -> None:
        """Refuse a priority that the task does not declare.

        Raises:
            DefinitionError: It does not; names the task's lanes.
        """
        if self.priority is not None and self.priority not in lanes:
            msg = f"priority={self.priority!r}: task {task!r} has the lanes {', '.join(lanes)}"
            raise DefinitionError(msg)


_DEFAULTS: dict[str, Any] = {item.name: item.default for item in fields(CheckedOptions)}


def _moment(eta: datetime | str) -> int:
    """Return a time in epoch milliseconds.

    Raises:
        DefinitionError: It is no time, or it has no offset from UTC.
    """
    moment: Any = eta
    if isinstance(eta, str):
        try:
            moment = datetime.fromisoformat(eta)
        except ValueError:
            moment = None
    if not isinstance(moment, datetime):
        msg = f"eta={eta!r} is no time: give an aware datetime, or ISO 8601 text such as '2027-01-31T09:00:00+01:00'"
        raise DefinitionError(msg)
    if moment.utcoffset() is None:
        if isinstance(eta, str):
            fix = "end it with an offset, such as Z or +01:00"
        else:
            fix = "give it a tzinfo, such as datetime.UTC or ZoneInfo('Europe/Oslo')"
        raise DefinitionError(f"eta={eta!r} has no time zone: {fix}")
    # An earlier moment would start the job before its time.
    return -(-int(moment.timestamp() * 1_000_000) // 1000)
