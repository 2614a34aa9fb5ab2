"""The environment variables of a function, within Lambda's size limit."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from infra.manifest import with_longest_names
from offload.core.errors import DefinitionError

if TYPE_CHECKING:
    from offload.core.manifest import Manifest
    from offload.core.tasks.settings import Settings

MOST_BYTES = 4096
"""Lambda's limit: bytes of all names and values together."""

METRICS = "Offload"
"""CloudWatch namespace of the jobs' metrics; their dimension `service` is the task."""


def build(task: str, settings: Settings, manifest: Manifest) -> dict[str, str]:
    """Return the environment of a task's function.

    Args:
        task: Name of the task.
        settings: Settings of the task.
        manifest: Manifest of the whole stack. The tasks of the function's manifest are in its bundle.

    Raises:
        DefinitionError: The environment is larger than Lambda allows.
    """
    own_manifest = replace(manifest, tasks={})
    worker_variables = {
        "OFFLOAD_TASK": task,
        "OFFLOAD_MANIFEST": own_manifest.dump(),
        "POWERTOOLS_SERVICE_NAME": task,
        "POWERTOOLS_LOG_LEVEL": "INFO",
        # The bundle contains bytecode already, and Python could not write more: the file system is read-only.
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    # CloudFormation fills in some names at the deployment, so the check uses the longest possible names.
    longest = {**worker_variables, **settings.environment, "OFFLOAD_MANIFEST": with_longest_names(own_manifest).dump()}
    size = sum(len(name.encode()) + len(value.encode()) for name, value in longest.items())
    if size > MOST_BYTES:
        raise DefinitionError(
            f"task {task!r}: its environment may take {size} bytes of Lambda's {MOST_BYTES}: shorten `environment` "
            "or `enqueues`"
        )
    return {**worker_variables, **settings.environment}
