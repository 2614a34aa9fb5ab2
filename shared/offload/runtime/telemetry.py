"""What the worker says: structured log lines with the job's id, and metrics in the embedded metric format.

Neither payloads nor error messages are logged: both may hold what does not belong in a log. The record has them.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from offload.core.jobs import State
from offload.runtime.powertools import Logger, Metrics, MetricUnit

if TYPE_CHECKING:
    from offload.core.errors import OffloadError
    from offload.runtime.persistence import JobRecord

_COUNTS = {State.SUCCEEDED: "JobsSucceeded", State.FAILED: "JobsFailed", State.RETRYING: "JobsRetried"}


class Telemetry:
    """Log and metrics of one function.

    Args:
        task: The task's name: the service of each line and the dimension of each metric.
        namespace: CloudWatch namespace of the metrics.
    """

    def __init__(self, task: str, *, namespace: str = "Offload") -> None:
        """Give every logger of the process, the task's own too, the same lines with the job's id."""
        self._logger = Logger(service=task, name="offload.worker", use_rfc3339=True, location=None)
        root = logging.getLogger()
        root.handlers[:] = self._logger.handlers
        root.setLevel(self._logger.log_level)
        self._logger.logger_handler.setFormatter(self._logger.registered_formatter)
        self._logger._logger.propagate = False  # noqa: SLF001 - its handler is the root's now
        self._metrics = Metrics(service=task, namespace=namespace)

    def begin(self, message_id: str) -> None:
        """Start on a message."""
        self._logger.append_keys(message_id=message_id)

    def job(self, job_id: str) -> None:
        """Learn the job's id."""
        self._logger.append_keys(job_id=job_id)

    def started(self, attempt: int) -> None:
        """A run starts."""
        self._logger.append_keys(attempt=attempt)

    def end(self) -> None:
        """Leave the message."""
        self._logger.remove_keys(["message_id", "job_id", "attempt"])

    def note(self, text: str) -> None:
        """Say something ordinary."""
        self._logger.info(text)

    def ended(self, record: JobRecord, sent_at: int, now: int) -> None:
        """A run or a claim came to an end that is recorded."""
        if record.dropped is not None:
            self._logger.info("duplicate message of an ended job dropped", extra={"state": record.dropped.value})
            return
        if record.ended is None:
            return
        usage = record.extra.get("usage", {})
        facts: dict[str, Any] = {"state": record.ended.value, **usage}
        if record.ended in (State.SUCCEEDED, State.CANCELLED):
            self._logger.info("job ended", extra=facts)
        else:
            facts["error_type"] = (record.error or {}).get("type")
            self._logger.warning("job attempt failed", extra=facts)
        if record.ended in _COUNTS:
            self._metrics.add_metric(_COUNTS[record.ended], MetricUnit.Count, 1)
        if usage:
            self._metrics.add_metric("JobDuration", MetricUnit.Milliseconds, usage["duration_ms"])
            if record.item.get("attempt") == 1:
                started = int(record.item.get("started_at", now))
                self._metrics.add_metric("QueueLatency", MetricUnit.Milliseconds, max(0, started - sent_at))

    def rejected(self, wrong: OffloadError) -> None:
        """A message can never run."""
        self._logger.error("message rejected", extra={"error_type": type(wrong).__name__})
        self._metrics.add_metric("JobsFailed", MetricUnit.Count, 1)

    def handed_back(self, why: str) -> None:
        """A message goes back uncharged."""
        self._logger.info("message handed back", extra={"why": why})

    def trouble(self, trouble: OffloadError) -> None:
        """A service did not do what we asked."""
        self._logger.error("service trouble", extra={"error_type": type(trouble).__name__, "detail": str(trouble)})

    def fault(self, fault: Exception) -> None:
        """The worker itself failed: a defect of this library."""
        self._logger.critical("the worker failed on a message", exc_info=fault)

    def flush(self) -> None:
        """Write the metrics of the invocation, one line."""
        if self._metrics.provider.metric_set:
            self._metrics.flush_metrics()
