"""The environment variables of a function, within Lambda's size limit."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from infra.manifest import with_longest_names
from offload.core.errors import DefinitionError

if TYPE_CHECKING:
    from offload.core.manifest import Manifest
    from offload.core.tasks.settings import Settings

MOST_BYTES = 4096
"""Lambda's limit: bytes of all names and values together."""

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

_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_]+")
"""What Lambda takes as the name of a variable."""

METRICS = "Offload"
"""CloudWatch namespace of the jobs' metrics; their dimension `service` is the task."""


def build(task: str, settings: Settings, manifest: Manifest) -> dict[str, str]:
    """Return the environment of a task's function.

    Args:
        task: Name of the task.
        settings: Settings of the task.
        manifest: Manifest of the whole stack. The tasks of the function's manifest are in its bundle.

    Raises:
        DefinitionError: The environment is larger than Lambda allows, or the task's `environment` sets a variable that
            Lambda does not take, or that Lambda or the worker needs itself.
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
    for name in sorted(settings.environment):
        if name in worker_variables:
            raise DefinitionError(f"task {task!r}: environment sets {name}, which is reserved for the worker")
        if name in LAMBDAS_OWN:
            raise DefinitionError(f"task {task!r}: environment sets {name}, which Lambda sets itself: leave it out")
        if not _NAME.fullmatch(name):
            raise DefinitionError(
                f"task {task!r}: environment has {name!r}: write at least two letters, digits and _, the first a letter"
            )
    # CloudFormation fills in some names at the deployment, so the check uses the longest possible names.
    longest = {**worker_variables, **settings.environment, "OFFLOAD_MANIFEST": with_longest_names(own_manifest).dump()}
    size = sum(len(name.encode()) + len(value.encode()) for name, value in longest.items())
    if size > MOST_BYTES:
        raise DefinitionError(
            f"task {task!r}: its environment may take {size} bytes of Lambda's {MOST_BYTES}: shorten `environment` "
            "or `enqueues`"
        )
    return {**worker_variables, **settings.environment}
