"""The environment variables of a function, within Lambda's size limit."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from offload.core.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from offload.core.manifest import Manifest
    from offload.core.tasks.settings import Settings

MOST_BYTES = 4096
"""Lambda's limit: bytes of all names and values together."""

METRICS = "Offload"
"""CloudWatch namespace of the jobs' metrics; their dimension `service` is the task."""


def build(task: str, settings: Settings, manifest: Manifest, enqueues: Iterable[str]) -> dict[str, str]:
    """Return the environment of a task's function.

    Args:
        task: Name of the task.
        settings: Settings of the task.
        manifest: Manifest of the whole stack.
        enqueues: Names of the tasks that the task may enqueue. The function's manifest contains these tasks and the
            task itself.

    Raises:
        DefinitionError: The environment is larger than Lambda allows, or the task's `environment` sets a variable that
            the worker needs itself.
    """
    tasks = {name: manifest.tasks[name] for name in sorted({task, *enqueues})}
    own_manifest = replace(manifest, tasks=tasks)
    worker_variables = {
        "OFFLOAD_TASK": task,
        "OFFLOAD_MANIFEST": own_manifest.dump(),
        "OFFLOAD_MAX_RECEIVES": str(settings.max_receives),
        "POWERTOOLS_SERVICE_NAME": task,
        "POWERTOOLS_METRICS_NAMESPACE": METRICS,
        "POWERTOOLS_LOG_LEVEL": "INFO",
        # The bundle contains bytecode already, and Python could not write more: the file system is read-only.
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    reserved = sorted(set(worker_variables) & set(settings.environment))
    if reserved:
        raise DefinitionError(f"task {task!r}: environment sets {reserved[0]}, which is reserved for the worker")
    # CloudFormation fills in some names at the deployment, so the check uses the longest possible names.
    longest = {**worker_variables, **settings.environment, "OFFLOAD_MANIFEST": _with_longest_names(own_manifest).dump()}
    size = sum(len(name.encode()) + len(value.encode()) for name, value in longest.items())
    if size > MOST_BYTES:
        raise DefinitionError(
            f"task {task!r}: its environment may take {size} bytes of Lambda's {MOST_BYTES}: shorten `environment`, or "
            f"name fewer tasks in `enqueues` (its manifest contains {len(tasks)})"
        )
    return {**worker_variables, **settings.environment}


def _with_longest_names(manifest: Manifest) -> Manifest:
    role = "arn:aws-us-gov:iam::" + "0" * 12 + ":role/" + "r" * 64
    # CloudFormation builds the table's name from stack, construct and 13 characters of its own.
    return replace(
        manifest,
        account="0" * 12,
        region="ap-southeast-99",
        table=manifest.stack + "-" + "t" * 32,
        bucket="b" * 63,
        timers={**manifest.timers, "role": role},
    )
