"""JSON log lines: for this library's own loggers, and, with `offload.add_hooks(JsonLogs())`, for every logger."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from offload.core.hooks import Hooks
from offload.core.redaction import redact_json

if TYPE_CHECKING:
    from offload.core.hooks import RunReport
    from offload.core.tasks.context import CurrentJob

LIBRARY = "offload"
"""The logger above all loggers of this library."""

_KEYS = ["job_id", "attempt"]
_LIBRARY_FILES = str(Path(__file__).parents[1]) + os.sep


def write_json(logger: logging.Logger, service: str) -> Any:
    """Have a logger write JSON lines to standard output, at Powertools' level, through no other handler of its own.

    Powertools' own `Logger` would do more than that: it takes its logger's name from the service, and it silences, in
    every handler of the root logger, each logger whose name contains the service, such as that of the task's module.

    Args:
        logger: The logger.
        service: Key `service` of each line.

    Returns:
        The formatter, which takes more keys for each line.
    """
    from offload.runtime.powertools import LambdaPowertoolsFormatter  # a task's module that asks loads no Powertools

    class Formatter(LambdaPowertoolsFormatter):
        def format(self, record: logging.LogRecord) -> str:
            line = super().format(record)
            return line if _is_the_librarys_news(record) else redact_json(line)

    # The error's text and traceback are in the line once; a second form of them would call the error's `__str__`.
    formatter = Formatter(use_rfc3339=True, serialize_stacktrace=False, location=None, service=service)
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(formatter)
    logger.handlers[:] = [handler]
    logger.setLevel((os.environ.get("POWERTOOLS_LOG_LEVEL") or "INFO").upper())
    return formatter


def _is_the_librarys_news(record: logging.LogRecord) -> bool:
    """Tell whether a line has only ids, states and numbers: those below WARNING that the library writes.

    Every run has such a line, and most runs have no other. So most runs never cut their secrets into pieces.
    """
    return record.levelno < logging.WARNING and record.pathname.startswith(_LIBRARY_FILES)


class JsonLogs(Hooks):
    """Has every logger of the worker write JSON lines, with `job_id` and `attempt` while a job runs.

    It replaces the handlers of the root logger and sets its level to that of Powertools (`POWERTOOLS_LOG_LEVEL`, INFO
    in a deployed function).
    """

    def __init__(self) -> None:
        """Wait for the worker to start; until then nothing changes."""
        self._formatter: Any = None

    def process_started(self, task: str) -> None:
        """Take over the root logger, and have this library's lines go there too."""
        self._formatter = write_json(logging.getLogger(), task)
        library = logging.getLogger(LIBRARY)
        library.handlers.clear()
        library.propagate = True

    def before_run(self, job: CurrentJob) -> None:
        """Add the job to each line."""
        self._formatter.append_keys(job_id=job.id, attempt=job.attempt)

    def after_run(self, job: CurrentJob, report: RunReport) -> None:  # noqa: ARG002 - the hook's signature
        """Take the job off again."""
        self._formatter.remove_keys(_KEYS)
