"""A task's settings: defaults, validation, and what each one decides."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields, replace
from typing import Any

from offload.core.durations import Duration, seconds, text
from offload.core.errors import DefinitionError
from offload.core.retry import Retry

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_LAMBDA_LONGEST = 900
_MEMORY = (128, 10_240)
_CONCURRENCY = (2, 1_000)
_BATCH = (1, 10)
_LIMIT_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A global limit over all workers of a task, such as `RateLimit("10/m")`.

    Attributes:
        rate: Starts per unit: `N/s`, `N/m`, `N/h` or `N/d`.
        burst: Starts that may happen at once after a quiet time.
    """

    rate: str
    burst: int = 1

    def __post_init__(self) -> None:
        """Check the spelling."""
        if self.interval() <= 0 or isinstance(self.burst, bool) or not isinstance(self.burst, int) or self.burst < 1:
            msg = f"rate_limit: burst={self.burst!r} must be a whole number of at least 1"
            raise DefinitionError(msg)

    def interval(self) -> float:
        """Return the seconds between two starts at the full rate."""
        match = re.fullmatch(r"(\d+(?:\.\d+)?)/([smhd])", self.rate.strip()) if isinstance(self.rate, str) else None
        if match is None or float(match[1]) <= 0:
            msg = f"rate_limit: rate={self.rate!r} must be a count per s, m, h or d, such as '10/m'"
            raise DefinitionError(msg)
        return _LIMIT_UNITS[match[2]] / float(match[1])


@dataclass(frozen=True, slots=True, init=False)
class Allow:
    """AWS actions a task's function may call: one statement of its role.

    Attributes:
        actions: Such as `s3:GetObject`. No bare `*`.
        resources: ARNs, in which `{bucket}`, `{table}`, `{partition}`, `{region}` and `{account}` stand for this
            stack's: `{bucket}/thumbnails/*`.
        conditions: An IAM condition block, if any.
    """

    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: dict[str, dict[str, Any]] | None

    def __init__(
        self,
        actions: str | tuple[str, ...],
        resources: str | tuple[str, ...],
        conditions: dict[str, dict[str, Any]] | None = None,
    ) -> None:
        """Take one or several of each, and refuse what would open more than the task says."""
        for name, value in (("actions", actions), ("resources", resources)):
            listed = (value,) if isinstance(value, str) else tuple(value)
            if not listed or not all(isinstance(item, str) and item for item in listed):
                msg = f"allow: {name}={value!r} must name at least one"
                raise DefinitionError(msg)
            object.__setattr__(self, name, listed)
        object.__setattr__(self, "conditions", conditions)
        for action in self.actions:
            if not re.fullmatch(r"[a-z0-9-]+:[A-Za-z0-9]+\*?", action):
                msg = f"allow: action {action!r} must name one action of one service, such as 's3:GetObject'"
                raise DefinitionError(msg)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything `@task` takes, checked.

    Attributes:
        retry: When a failed job runs again.
        timeout: Hard limit of one job: the Lambda timeout; 1s to 15m.
        soft_timeout: Where `SoftTimeLimitExceeded` is raised; None takes nine tenths of `timeout`. A job starts only
            while at least this much of its invocation is left.
        batch_size: Jobs handed to one invocation, 1 to 10. Jobs of a batch run one after the other.
        max_concurrency: Invocations at once, 2 to 1000 (the event source mapping's `MaximumConcurrency`).
        memory: MB, 128 to 10240; Lambda gives CPU in proportion.
        rate_limit: Global limit of starts.
        priorities: Lanes, each its own queue; the first is served like the others and `default` must be among them.
        schedules: Cron and fixed-rate schedules.
        result_ttl: How long a result can be read after the job, 1h to 365d.
        on_success: Task to enqueue after a success, with the job's outcome as its payload.
        on_failure: The same after a final failure.
        expires: A job that could not start within this time ends EXPIRED; None never.
        enqueues: Names of the tasks this task enqueues, which its role then may; `"*"` for any.
        allow: AWS actions the task calls.
        environment: Environment variables of the function. No secrets: name where they are kept instead.
    """

    retry: Retry = field(default_factory=Retry)
    timeout: Duration = "1m"
    soft_timeout: Duration | None = None
    batch_size: int = 10
    max_concurrency: int = 10
    memory: int = 256
    rate_limit: RateLimit | None = None
    priorities: tuple[str, ...] = ("default",)
    schedules: tuple[Any, ...] = ()
    result_ttl: Duration = "7d"
    on_success: str | None = None
    on_failure: str | None = None
    expires: Duration | None = None
    enqueues: tuple[str, ...] = ()
    allow: tuple[Allow, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check every setting; the error names it, its value and what it takes."""
        self._check_times()
        _whole("batch_size", self.batch_size, *_BATCH)
        _whole("max_concurrency", self.max_concurrency, *_CONCURRENCY)
        _whole("memory", self.memory, *_MEMORY)
        _kind("retry", self.retry, Retry, "Retry(max_attempts=5)")
        if self.rate_limit is not None:
            _kind("rate_limit", self.rate_limit, RateLimit, 'RateLimit("10/m")')
        for name in ("priorities", "schedules", "enqueues", "allow"):
            object.__setattr__(self, name, _listed(name, getattr(self, name)))
        self._check_lanes()
        self._check_tasks()
        for statement in self.allow:
            _kind("allow", statement, Allow, 'Allow("s3:GetObject", "{bucket}/*")')
        for schedule in self.schedules:
            # Duck-typed, so that a task without schedules does not load the cron engine.
            if not hasattr(schedule, "aws_expression"):
                msg = f"schedules={schedule!r} must be Cron(...) or Every(...), such as Cron('0 2 * * *')"
                raise DefinitionError(msg)
        pairs = self.environment.items() if isinstance(self.environment, dict) else [(None, None)]
        if not all(isinstance(key, str) and isinstance(value, str) for key, value in pairs):
            msg = f"environment={self.environment!r} must map names to texts"
            raise DefinitionError(msg)

    def _check_times(self) -> None:
        hard = seconds(self.timeout, field="timeout", least=1, most=_LAMBDA_LONGEST)
        if hard != int(hard):
            msg = f"timeout={self.timeout!r} must be whole seconds, as Lambda counts them"
            raise DefinitionError(msg)
        if self.soft_timeout is not None and seconds(self.soft_timeout, field="soft_timeout", least=0.1) >= hard:
            msg = f"soft_timeout={self.soft_timeout!r} must be below timeout={self.timeout!r}, the hard limit"
            raise DefinitionError(msg)
        seconds(self.result_ttl, field="result_ttl", least=3600, most=365 * 86400)
        if self.expires is not None:
            seconds(self.expires, field="expires", least=1)

    def _check_tasks(self) -> None:
        for name in ("on_success", "on_failure"):
            value = getattr(self, name)
            if value is not None:
                check_name(value, name)
        for target in self.enqueues:
            if target != "*":
                check_name(target, "enqueues")

    def _check_lanes(self) -> None:
        for lane in self.priorities:
            if not isinstance(lane, str) or not _NAME.fullmatch(lane):
                msg = f"priorities={lane!r} must be names of lower-case letters, digits and underscores"
                raise DefinitionError(msg)
            if lane == "dlq":
                msg = (
                    "priorities='dlq' would name a lane's queue like the task's dead-letter queue: choose another name"
                )
                raise DefinitionError(msg)
        if "default" not in self.priorities or len(set(self.priorities)) != len(self.priorities):
            msg = f"priorities={self.priorities!r} must name 'default' and each lane once"
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
    def max_receives(self) -> int:
        """The queue's `maxReceiveCount`: a backstop, well above the attempts.

        Uncharged returns count as receives too, but the worker renews a message that comes near the limit. Every
        receive above the attempts is one more step of a failed message on its way to the DLQ, so there are few.
        """
        return self.retry.max_attempts + 10

    @property
    def result_life(self) -> float:
        """How long a result can be read, in seconds."""
        return seconds(self.result_ttl, field="result_ttl")

    def describe(self) -> dict[str, Any]:
        """Return the settings as JSON values for people and scripts."""
        return {
            "max_attempts": self.retry.max_attempts,
            "timeout": text(self.hard_limit),
            "soft_timeout": text(self.soft_limit),
            "batch_size": self.batch_size,
            "max_concurrency": self.max_concurrency,
            "memory": self.memory,
            "rate_limit": self.rate_limit.rate if self.rate_limit else None,
            "priorities": list(self.priorities),
            "schedules": [schedule.aws_expression() for schedule in self.schedules],
            "result_ttl": text(self.result_life),
            "on_success": self.on_success,
            "on_failure": self.on_failure,
        }


def check_name(value: object, setting: str) -> str:
    """Return a valid task name, or say what is wrong with it."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        msg = (
            f"{setting}={value!r} is not a task name: lower-case letters, digits and underscores, "
            "a letter first, at most 40 characters"
        )
        raise DefinitionError(msg)
    return value


def _whole(name: str, value: object, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        msg = f"{name}={value!r} must be a whole number from {least} to {most}"
        raise DefinitionError(msg)


def _kind(name: str, value: object, kind: type, example: str) -> None:
    if not isinstance(value, kind):
        msg = f"{name}={value!r} must be a {kind.__name__}, such as {name}={example}"
        raise DefinitionError(msg)


def _listed(name: str, value: object) -> tuple[Any, ...]:
    if isinstance(value, str) or not isinstance(value, tuple | list):
        msg = f"{name}={value!r} must be a tuple, such as {name}=({value!r},)"
        raise DefinitionError(msg)
    return tuple(value)


_app_wide: dict[str, Any] = {}


def defaults(**settings: Any) -> None:
    """Set app-wide defaults for every task defined after it; call it once, in `functions/__init__.py`.

    Raises:
        DefinitionError: An unknown or wrong setting.
    """
    make_settings(settings)
    _app_wide.clear()
    _app_wide.update(settings)


def make_settings(given: dict[str, Any]) -> Settings:
    """Build a task's settings: what the task says, else the app's default, else the library's.

    Raises:
        DefinitionError: An unknown or wrong setting; names it.
    """
    known = [item.name for item in fields(Settings)]
    for name in given:
        if name not in known:
            msg = f"{name!r} is not a task setting: choose from {', '.join(known)}"
            raise DefinitionError(msg)
    return replace(Settings(), **{**_app_wide, **given})
