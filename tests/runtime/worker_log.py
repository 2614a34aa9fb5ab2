"""What a worker logs, as a test reads it."""

from __future__ import annotations

import json
import logging
from contextlib import contextmanager
from io import StringIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

LIBRARY = logging.getLogger("offload")
"""The logger above all loggers of the library."""


class WorkerLog:
    """The lines that the handlers of a logger write, from `capture` on."""

    def __init__(self) -> None:
        self._stream = StringIO()

    def capture(self, logger: logging.Logger = LIBRARY) -> None:
        """Have the logger's own handlers write here instead of to standard output."""
        for handler in logger.handlers:
            if type(handler) is logging.StreamHandler:
                handler.setStream(self._stream)

    @property
    def text(self) -> str:
        return self._stream.getvalue()

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Every line so far; each must be a JSON object."""
        return [json.loads(line) for line in self.text.splitlines()]

    def of_job(self, job_id: str) -> list[dict[str, Any]]:
        """The lines that name a job."""
        return [line for line in self.lines if line.get("job_id") == job_id]

    def line(self, message: str) -> dict[str, Any]:
        """The only line with this message."""
        (found,) = [line for line in self.lines if line["message"] == message]
        return found


@contextmanager
def logger_restored(logger: logging.Logger) -> Iterator[None]:
    """Give a logger its handlers, its level and everything else back that it has now."""
    before = {**vars(logger), "handlers": logger.handlers[:]}
    try:
        yield
    finally:
        vars(logger).clear()
        vars(logger).update(before)
        logger.setLevel(logger.level)  # or it would go by levels that it has remembered
