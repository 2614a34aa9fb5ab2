"""The tasks that a task may enqueue or import. A function's role, manifest and bundle contain no other tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from offload.core.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from offload.core.tasks.settings import Settings


def may_enqueue(task: str, settings: Mapping[str, Settings]) -> list[str]:
    """Return the names of the tasks that a task may enqueue, sorted: the tasks in `enqueues`, and the follow-ups.

    Args:
        task: Name of the task.
        settings: Settings of all tasks, by name.

    Raises:
        DefinitionError: A setting names a task that does not exist.
    """
    own = settings[task]
    if "*" in own.enqueues:
        return sorted(settings)
    names_by_setting = {"enqueues": own.enqueues, "on_success": (own.on_success,), "on_failure": (own.on_failure,)}
    for setting, names in names_by_setting.items():
        for name in names:
            if name is not None and name not in settings:
                raise DefinitionError(
                    f"task {task!r}: {setting}={name!r}: no such task; found {', '.join(sorted(settings))}"
                )
    return sorted({name for names in names_by_setting.values() for name in names if name is not None})


def may_import(task: str, settings: Mapping[str, Settings]) -> list[str]:
    """Return the names of the tasks whose modules a task may import, sorted: the tasks in `enqueues`.

    Follow-ups are enqueued by name, so the bundle does not need their modules.
    """
    return may_enqueue(task, settings) if "*" in settings[task].enqueues else sorted(settings[task].enqueues)
