"""A task's settings: one table, from which everything about them is made.

A row of `Settings` has the default, the check and the words of the reference. Made from it are the validation, the
app-wide defaults, what `offload tasks` shows, what producers learn from the stack's manifest, and the table in
`docs/tasks.md` (`make docs`). `TaskSettings` repeats names and types for type checkers, which see no other form; a test
compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from offload.core.durations import Duration, seconds, text
from offload.core.enqueueing.options import TRACKS, Track
from offload.core.errors import DefinitionError, did_you_mean
from offload.core.flow.rate_limit import RateLimit
from offload.core.jobs.idempotency_keys import LONGEST_KEY_WINDOW, SHORTEST_KEY_WINDOW
from offload.core.jobs.state import State
from offload.core.tasks import setting as checks
from offload.core.tasks.permissions import Allow
from offload.core.tasks.retry_policy import Retry
from offload.core.tasks.setting import KEY, Setting, setting, unchanged

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Unpack

    from offload.core.schedules import Schedule


def _duration(value: Duration) -> str:
    return text(seconds(value, field="duration"))


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything `@task` takes, checked: the table of settings."""

    retry: Retry = setting(
        Retry(),
        Setting(
            check=checks.is_a(Retry, "Retry(max_attempts=5)"),
            takes="`Retry`",
            meaning="when a failed job runs again",
            default='`Retry(max_attempts=3, base="10s", cap="10m")`',
            show=lambda retry: retry.describe(),
        ),
    )
    timeout: Duration = setting(
        "1m",
        Setting(
            check=checks.is_duration(least=1, most=900, whole=True),
            takes="1s to 15m, whole seconds",
            meaning="hard limit: the Lambda timeout",
            show=_duration,
        ),
    )
    soft_timeout: Duration | None = setting(
        None,
        Setting(
            check=checks.is_duration(least=0.1, optional=True),
            takes="below `timeout`",
            meaning="where `SoftTimeLimitExceeded` is raised inside the task; a job starts only while this much of its "
            "invocation is left",
            default="9/10 of `timeout`",
            show=unchanged,
        ),
    )
    batch_size: int = setting(
        10,
        Setting(
            check=checks.is_whole(1, 10),
            takes="1 to 10",
            meaning="jobs per invocation; they run one after the other",
            show=unchanged,
        ),
    )
    max_concurrency: int = setting(
        10,
        Setting(
            check=checks.is_whole(2, 1_000),
            takes="2 to 1000",
            meaning="invocations at once, per lane",
            show=unchanged,
        ),
    )
    memory: int = setting(
        256,
        Setting(
            check=checks.is_whole(128, 10_240),
            takes="128 to 10240 MB",
            meaning="Lambda gives CPU in proportion",
            show=unchanged,
        ),
    )
    rate_limit: RateLimit | None = setting(
        None,
        Setting(
            check=checks.is_a(RateLimit, 'RateLimit("10/m")', optional=True),
            takes='`RateLimit("10/m", burst=1)`',
            meaning="starts over all workers; waiting is no attempt",
            show=lambda limit: limit.rate if limit else None,
        ),
    )
    priorities: tuple[str, ...] | list[str] = setting(
        ("default",),
        Setting(
            check=checks.is_lanes,
            takes="names, `default` among them",
            meaning="lanes, each a queue of its own",
            show=list,
            for_producers=True,
        ),
    )
    schedules: Sequence[Schedule] = setting(
        (),
        Setting(
            check=checks.is_tuple_of(checks.is_schedule),
            takes="`Cron`, `Every`",
            meaning="jobs made by the clock",
            show=lambda schedules: [schedule.describe() for schedule in schedules],
        ),
    )
    result_ttl: Duration = setting(
        "7d",
        Setting(
            check=checks.is_duration(least=3600, most=365 * 86400),
            takes="1h to 365d",
            meaning="how long a result can be read",
            show=_duration,
        ),
    )
    on_success: str | None = setting(
        None,
        Setting(
            check=checks.is_task_name_or_none,
            takes="a task's name",
            meaning="enqueued when a job succeeds, with one argument `job`: its outcome",
            show=unchanged,
        ),
    )
    on_failure: str | None = setting(
        None,
        Setting(
            check=checks.is_task_name_or_none,
            takes="a task's name",
            meaning="the same when a job fails for good",
            show=unchanged,
        ),
    )
    expires: Duration | None = setting(
        None,
        Setting(
            check=checks.is_duration(least=1, optional=True),
            takes="from 1s",
            meaning="jobs that could not start in time end EXPIRED, unless their options say otherwise",
            show=lambda value: None if value is None else _duration(value),
            for_producers=True,
        ),
    )
    key_window: Duration = setting(
        "1d",
        Setting(
            check=checks.is_duration(least=SHORTEST_KEY_WINDOW, most=LONGEST_KEY_WINDOW),
            takes="1m to 30d",
            meaning="how long a `key` names its job, unless the job's options say otherwise",
            show=_duration,
            for_producers=True,
        ),
    )
    track: Track = setting(
        "enqueue",
        Setting(
            check=checks.is_one_of(TRACKS),
            takes='`"enqueue"`, `"start"`',
            meaning="when a job's record is first written: by its producer, or only when it starts",
            show=unchanged,
            for_producers=True,
        ),
    )
    enqueues: tuple[str, ...] | list[str] | Literal["*"] = setting(
        (),
        Setting(
            check=checks.is_task_names_or_all,
            takes='task names, or `"*"`',
            meaning="tasks this one enqueues; its role then may",
            show=list,
        ),
    )
    allow: Sequence[Allow] = setting(
        (),
        Setting(
            check=checks.is_tuple_of(checks.is_a(Allow, 'Allow("s3:GetObject", "{bucket}/*")')),
            takes="`Allow(actions, resources)`",
            meaning="AWS actions the task calls",
        ),
    )
    environment: dict[str, str] = setting(
        dict,
        Setting(
            check=checks.is_environment,
            takes="texts by name",
            meaning="environment variables; no secrets",
            default="`{}`",
        ),
    )

    def __post_init__(self) -> None:
        """Check every setting; the error names it, its value and what it takes."""
        for name, row in ROWS.items():
            object.__setattr__(self, name, row.check(name, getattr(self, name)))
        if self.soft_timeout is not None and self.soft_limit >= self.hard_limit:
            msg = f"soft_timeout={self.soft_timeout!r} must be below timeout={self.timeout!r}, the hard limit"
            raise DefinitionError(msg)

    @property
    def hard_limit(self) -> int:
        """The hard limit in seconds."""
        return int(seconds(self.timeout, field="timeout"))

    @property
    def soft_limit(self) -> float:
        """The soft limit in seconds."""
        return self.hard_limit * 0.9 if self.soft_timeout is None else seconds(self.soft_timeout, field="soft_timeout")

    @property
    def result_life(self) -> float:
        """How long a result can be read, in seconds."""
        return seconds(self.result_ttl, field="result_ttl")

    @property
    def follow_ups(self) -> dict[State, str]:
        """The task to enqueue after each end that has one."""
        named = {State.SUCCEEDED: self.on_success, State.FAILED: self.on_failure}
        return {state: task for state, task in named.items() if task is not None}

    def describe(self) -> dict[str, Any]:
        """Return the settings as JSON values for people and scripts; the soft limit as it is in force."""
        shown = {name: row.show(getattr(self, name)) for name, row in ROWS.items() if row.show is not None}
        return {**shown, "soft_timeout": text(self.soft_limit)}

    def for_producers(self) -> dict[str, Any]:
        """Return what producers need to know that do not import the task, as JSON values; defaults are left out."""
        default = Settings().describe()
        return {
            name: value
            for name, value in self.describe().items()
            if ROWS[name].for_producers and value != default[name]
        }


ROWS: dict[str, Setting] = {each.name: each.metadata[KEY] for each in fields(Settings)}
"""The table: each setting's row by its name."""


class TaskSettings(TypedDict, total=False):
    """The settings by name, as `@task` and `defaults` take them; see `docs/tasks.md` for what each means."""

    # A text is a sequence of texts: spelt as `Sequence[str]`, the mistake `priorities="high"` would pass.

    retry: Retry
    timeout: Duration
    soft_timeout: Duration | None
    batch_size: int
    max_concurrency: int
    memory: int
    rate_limit: RateLimit | None
    priorities: tuple[str, ...] | list[str]
    schedules: Sequence[Schedule]
    result_ttl: Duration
    on_success: str | None
    on_failure: str | None
    expires: Duration | None
    key_window: Duration
    track: Track
    enqueues: tuple[str, ...] | list[str] | Literal["*"]
    allow: Sequence[Allow]
    environment: dict[str, str]


_app_wide: dict[str, Any] = {}


def defaults(**settings: Unpack[TaskSettings]) -> None:
    """Set app-wide defaults for every task defined after it; call it once, in `functions/__init__.py`.

    Raises:
        DefinitionError: An unknown or wrong setting.
    """
    make_settings(settings)
    _app_wide.clear()
    _app_wide.update(settings)


def make_settings(given: Mapping[str, Any]) -> Settings:
    """Build a task's settings: what the task says, else the app's default, else the library's.

    Raises:
        DefinitionError: An unknown or wrong setting; names it, and the nearest known name.
    """
    for name in given:
        if name not in ROWS:
            from offload.core.enqueueing.celery_names import hint  # only an error needs it

            meant = hint(name) or did_you_mean(name, ROWS)
            msg = f"{name!r} is not a task setting{meant}: choose from {', '.join(ROWS)}"
            raise DefinitionError(msg)
    return replace(Settings(), **{**_app_wide, **given})
