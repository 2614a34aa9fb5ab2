"""Whether the tasks named by `on_success` and `on_failure` can be follow-ups; checked where all tasks are known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from offload.core.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from offload.core.tasks.task import AnyTask

ARGUMENT = "job"


def check_follow_ups(tasks: Mapping[str, AnyTask[Any, Any]], known: Mapping[str, AnyTask[Any, Any]]) -> None:
    """Refuse a follow-up that could never run: one that does not take exactly the argument `job`.

    Args:
        tasks: Tasks whose follow-ups are checked.
        known: Tasks that a follow-up may be; another name is left to whoever knows all of them.

    Raises:
        DefinitionError: A follow-up does not take that argument; names both tasks and the fix.
    """
    for name, task in tasks.items():
        for setting in ("on_success", "on_failure"):
            target = known.get(getattr(task.settings, setting) or "")
            wrong = None if target is None else _what_is_wrong(target)
            if target is not None and wrong is not None:
                raise DefinitionError(
                    f"task {name!r}: {setting}={target.name!r}: {target.name} {wrong}; a follow-up is called with the "
                    f"outcome alone: def {target.name}({ARGUMENT}: dict)"
                )


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
