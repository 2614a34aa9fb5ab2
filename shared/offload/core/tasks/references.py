"""Whether the tasks that a task names exist and can be what they are named as; checked where all tasks are known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from offload.core.errors import DefinitionError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from offload.core.tasks.task import AnyTask

ARGUMENT = "job"
_FOLLOW_UPS = ("on_success", "on_failure")


def check_references(tasks: Mapping[str, AnyTask[Any, Any]], *, fix: str) -> None:
    """Refuse a task that names another one that is not there, or a follow-up that could never run.

    A follow-up takes exactly the argument `job`.

    Args:
        tasks: All tasks, by name.
        fix: What to do where one is missing.

    Raises:
        DefinitionError: A task names such a one; names both tasks, the setting and the fix.
    """
    for name, task in tasks.items():
        for setting, named in _named(task):
            if named not in tasks:
                hint, known = did_you_mean(named, tasks), ", ".join(sorted(tasks))
                raise DefinitionError(
                    f"task {name!r}: {setting}={named!r}: no such task{hint}; there are {known}. {fix}"
                )
            wrong = _what_is_wrong(tasks[named]) if setting in _FOLLOW_UPS else None
            if wrong is not None:
                raise DefinitionError(
                    f"task {name!r}: {setting}={named!r}: {named} {wrong}; a follow-up is called with the "
                    f"outcome alone: def {named}({ARGUMENT}: dict)"
                )


def _named(task: AnyTask[Any, Any]) -> Iterator[tuple[str, str]]:
    """Yield each setting that names a task, with the name."""
    for setting in _FOLLOW_UPS:
        named: str | None = getattr(task.settings, setting)
        if named is not None:
            yield setting, named
    for named in task.settings.enqueues:
        if named != "*":
            yield "enqueues", named


def _what_is_wrong(target: AnyTask[Any, Any]) -> str | None:
    schema = target.signature.schema()
    taken: Mapping[str, Any] = schema.get("properties", {})
    if ARGUMENT not in taken:
        return f"takes no argument {ARGUMENT!r}"
    others: Iterable[str] = (each for each in schema.get("required", ()) if each != ARGUMENT)
    for other in others:
        return f"takes {other!r} too, which nobody gives"
    kind = taken[ARGUMENT].get("type", "object")
    return None if kind == "object" else f"takes {ARGUMENT!r} as {kind}, and it is an object"
