"""`Setting`: one row of the table of settings, and the checks that its values pass."""

from __future__ import annotations

import re
from dataclasses import field
from typing import TYPE_CHECKING, Any, NamedTuple

from offload.core.durations import seconds
from offload.core.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Check = Callable[[str, Any], Any]
    """Takes a setting's name and value, and returns the value to keep or raises `DefinitionError`."""

KEY = "offload"
"""Where a dataclass field keeps its `Setting`."""

TASK_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


class Setting(NamedTuple):
    """One row of the table.

    Attributes:
        check: Checks a value.
        takes: What it takes, for the reference.
        meaning: What it does, for the reference.
        default: Its default as the reference shows it; None shows the value.
        show: Turns a value into a JSON value for people and scripts; None leaves the setting out.
        for_producers: Whether the stack's manifest has it, because producers that do not import the task need it.
    """

    check: Check
    takes: str
    meaning: str
    default: str | None = None
    show: Callable[[Any], Any] | None = None
    for_producers: bool = False


def setting(default: Any, row: Setting) -> Any:
    """Return the dataclass field of a setting."""
    kept = {KEY: row}
    return field(default_factory=default, metadata=kept) if callable(default) else field(default=default, metadata=kept)


def unchanged(value: Any) -> Any:
    """Show a value as it is."""
    return value


def is_duration(*, least: float, most: float | None = None, whole: bool = False, optional: bool = False) -> Check:
    """Check a duration, in seconds; `whole` takes whole seconds alone."""

    def check(name: str, value: Any) -> Any:
        if optional and value is None:
            return None
        total = seconds(value, field=name, least=least, most=most)
        if whole and total != int(total):
            raise DefinitionError(f"{name}={value!r} must be whole seconds, as Lambda counts them")
        return value

    return check


def is_whole(least: int, most: int) -> Check:
    """Check a whole number."""

    def check(name: str, value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise DefinitionError(f"{name}={value!r} must be a whole number from {least} to {most}")
        return value

    return check


def is_bool(name: str, value: Any) -> Any:
    """Check a boolean: a text such as `"no"` would count as true."""
    if not isinstance(value, bool):
        raise DefinitionError(f"{name}={value!r} must be True or False")
    return value


def is_one_of(choices: Sequence[str]) -> Check:
    """Check a text that has to be one of some."""

    def check(name: str, value: Any) -> Any:
        if value not in choices:
            raise DefinitionError(f"{name}={value!r} must be {' or '.join(map(repr, choices))}")
        return value

    return check


def is_a(kind: type, example: str, *, optional: bool = False) -> Check:
    """Check a value's class; `example` shows how to make one."""

    def check(name: str, value: Any) -> Any:
        if not isinstance(value, kind) and not (optional and value is None):
            raise DefinitionError(f"{name}={value!r} must be a {kind.__name__}, such as {name}={example}")
        return value

    return check


def is_tuple_of(check_each: Check) -> Check:
    """Check a tuple, or a list, and each of its entries."""

    def check(name: str, value: Any) -> Any:
        if isinstance(value, str) or not isinstance(value, tuple | list):
            raise DefinitionError(f"{name}={value!r} must be a tuple, such as {name}=({value!r},)")
        return tuple(check_each(name, entry) for entry in value)

    return check


def is_texts(name: str, value: Any) -> Any:
    """Check a mapping of texts by name."""
    pairs = value.items() if isinstance(value, dict) else [(None, None)]
    if not all(isinstance(key, str) and isinstance(text, str) for key, text in pairs):
        raise DefinitionError(f"{name}={value!r} must map names to texts")
    return value


LAMBDAS_OWN = frozenset(
    {
        "_HANDLER",
        "_X_AMZN_TRACE_ID",
        "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_DEFAULT_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_LAMBDA_RUNTIME_API",
        "AWS_REGION",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "LAMBDA_RUNTIME_DIR",
        "LAMBDA_TASK_ROOT",
    }
)
"""Variables that Lambda sets and nobody else may (Lambda Developer Guide, "Defined runtime environment variables")."""

WORKERS_OWN = frozenset(
    {"OFFLOAD_TASK", "OFFLOAD_MANIFEST", "POWERTOOLS_SERVICE_NAME", "POWERTOOLS_LOG_LEVEL", "PYTHONDONTWRITEBYTECODE"}
)
"""Variables that the app sets for the worker."""

_VARIABLE = re.compile(r"[a-zA-Z][a-zA-Z0-9_]+")
"""What Lambda takes as the name of a variable."""


def is_environment(name: str, value: Any) -> Any:
    """Check environment variables: Lambda and the worker set some themselves, and Lambda takes few names."""
    for variable in sorted(is_texts(name, value)):
        if variable in WORKERS_OWN:
            raise DefinitionError(f"{name} sets {variable}, which is reserved for the worker: leave it out")
        if variable in LAMBDAS_OWN:
            raise DefinitionError(f"{name} sets {variable}, which Lambda sets itself: leave it out")
        if not _VARIABLE.fullmatch(variable):
            raise DefinitionError(
                f"{name} has {variable!r}: write at least two letters, digits and _, the first a letter"
            )
    return value


def is_task_name(name: str, value: Any, *, optional: bool = False) -> Any:
    """Check the name of a task."""
    if optional and value is None:
        return None
    if not isinstance(value, str) or not TASK_NAME.fullmatch(value):
        raise DefinitionError(
            f"{name}={value!r} is not a task name: lower-case letters, digits and underscores, "
            "a letter first, at most 40 characters"
        )
    return value


def is_task_name_or_none(name: str, value: Any) -> Any:
    """Check the name of a task, or None."""
    return is_task_name(name, value, optional=True)


def is_task_names_or_all(name: str, value: Any) -> Any:
    """Check names of tasks; `"*"`, alone or among them, stands for all tasks."""
    return is_tuple_of(_is_task_name_or_all)(name, ("*",) if value == "*" else value)


def _is_task_name_or_all(name: str, value: Any) -> Any:
    return value if value == "*" else is_task_name(name, value)


def is_lanes(name: str, value: Any) -> Any:
    """Check the lanes of a task."""
    lanes: tuple[Any, ...] = is_tuple_of(_is_lane)(name, value)
    if "default" not in lanes or len(set(lanes)) != len(lanes):
        raise DefinitionError(f"{name}={lanes!r} must name 'default' and each lane once")
    return lanes


def _is_lane(name: str, value: Any) -> Any:
    if not isinstance(value, str) or not TASK_NAME.fullmatch(value):
        raise DefinitionError(f"{name}={value!r} must be names of lower-case letters, digits and underscores")
    if value == "dlq":
        raise DefinitionError(
            f"{name}='dlq' would name a lane's queue like the task's dead-letter queue: choose another name"
        )
    return value


def is_schedule(name: str, value: Any) -> Any:
    """Check a schedule by what it can do, so that a task without schedules does not load the cron engine."""
    if isinstance(value, type) or not hasattr(value, "aws_expression"):
        raise DefinitionError(f"{name}={value!r} must be Cron(...) or Every(...), such as Cron('0 2 * * *')")
    return value
