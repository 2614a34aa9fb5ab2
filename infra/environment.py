"""Environment variables of a function, within Lambda's limit."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from offload.core.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from offload.core.manifest import Manifest
    from offload.core.settings import Settings

LONGEST = 4096
"""Bytes of names and values together."""

METRICS = "Offload"
"""CloudWatch namespace of the jobs' metrics; their dimension `service` is the task."""


def build(task: str, settings: Settings, manifest: Manifest, reach: Iterable[str]) -> dict[str, str]:
    """Return a function's environment.

    Args:
        task: Task name.
        settings: Its settings.
        manifest: The whole stack's.
        reach: Tasks it may enqueue; the function's manifest holds these and itself alone.

    Raises:
        DefinitionError: It is over Lambda's limit, or the task's `environment` sets a name of ours.
    """
    known = {name: manifest.lanes(name) for name in sorted({task, *reach})}
    part = replace(manifest, tasks=known)
    ours = {
        "OFFLOAD_TASK": task,
        "OFFLOAD_MANIFEST": part.dump(),
        "OFFLOAD_MAX_RECEIVES": str(settings.max_receives),
        "POWERTOOLS_SERVICE_NAME": task,
        "POWERTOOLS_METRICS_NAMESPACE": METRICS,
        "POWERTOOLS_LOG_LEVEL": "INFO",
        # The archive brings its bytecode and the file system is read-only: do not try to write more.
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    taken = sorted(set(ours) & set(settings.environment))
    if taken:
        raise DefinitionError(f"task {task!r}: environment sets {taken[0]}, which is the worker's own")
    # Names that CloudFormation fills in later are counted at the longest they can become.
    longest = {**ours, **settings.environment, "OFFLOAD_MANIFEST": _at_longest(part).dump()}
    size = sum(len(name.encode()) + len(value.encode()) for name, value in longest.items())
    if size > LONGEST:
        raise DefinitionError(
            f"task {task!r}: its environment may take {size} bytes of Lambda's {LONGEST}: shorten `environment`, or "
            f"name fewer tasks in `enqueues` (it reaches {len(known)})"
        )
    return {**ours, **settings.environment}


def _at_longest(manifest: Manifest) -> Manifest:
    role = "arn:aws-us-gov:iam::" + "0" * 12 + ":role/" + "r" * 64
    # CloudFormation names the table after stack and construct, with 13 characters of its own.
    return replace(
        manifest,
        account="0" * 12,
        region="ap-southeast-99",
        table=manifest.stack + "-" + "t" * 32,
        bucket="b" * 63,
        timers={**manifest.timers, "role": role},
    )
