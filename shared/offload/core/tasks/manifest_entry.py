"""What the manifest of a stack says about one task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from offload.core.tasks.task import AnyTask


def manifest_entry(task: AnyTask[Any, Any]) -> dict[str, Any]:
    """Return what producers need to know of a task that do not import it: some settings, and its payload's schema."""
    return {**task.settings.for_producers(), "schema": task.signature.schema()}
