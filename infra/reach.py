"""Which tasks a task may enqueue: what its role, its manifest and its bundle are cut to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from offload.core.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from offload.core.settings import Settings


def reachable(task: str, settings: Mapping[str, Settings]) -> list[str]:
    """Return the tasks a task may enqueue, sorted: declared ones and its follow-ups.

    Raises:
        DefinitionError: One of them does not exist.
    """
    own = settings[task]
    if "*" in own.enqueues:
        return sorted(settings)
    named = {"enqueues": own.enqueues, "on_success": (own.on_success,), "on_failure": (own.on_failure,)}
    for setting, names in named.items():
        for name in names:
            if name is not None and name not in settings:
                raise DefinitionError(
                    f"task {task!r}: {setting}={name!r}: no such task; found {', '.join(sorted(settings))}"
                )
    return sorted({name for names in named.values() for name in names if name is not None})


def importable(task: str, settings: Mapping[str, Settings]) -> list[str]:
    """Return the tasks whose modules a task may import, sorted: those it declares in `enqueues`.

    Follow-ups are enqueued by name, so their modules need not be there.
    """
    return reachable(task, settings) if "*" in settings[task].enqueues else sorted(settings[task].enqueues)
