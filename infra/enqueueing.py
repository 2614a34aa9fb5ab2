"""The tasks that a task may enqueue or import. A function's role, manifest and bundle contain no other tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from offload.core.tasks.settings import Settings


def may_enqueue(task: str, settings: Mapping[str, Settings]) -> list[str]:
    """Return the names of the tasks that a task may enqueue, sorted: the tasks in `enqueues`, and the follow-ups.

    Args:
        task: Name of the task.
        settings: Settings of all tasks, by name; `core/tasks/references.py` has checked that those named are there.
    """
    own = settings[task]
    if "*" in own.enqueues:
        return sorted(settings)
    return sorted({*own.enqueues, *own.follow_ups.values()})


def may_import(task: str, settings: Mapping[str, Settings]) -> list[str]:
    """Return the names of the tasks whose modules a task may import, sorted: the tasks in `enqueues`.

    Follow-ups are enqueued by name, so the bundle does not need their modules.
    """
    return may_enqueue(task, settings) if "*" in settings[task].enqueues else sorted(settings[task].enqueues)
