"""The library's own telemetry, attached by hooks: JSON log lines, and metrics in the embedded metric format."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from offload.core.hooks import NO_TIME_LEFT, SERVICE_ERROR, Hooks
from offload.core.jobs.state import State
from offload.runtime.logs import LIBRARY, write_json
from offload.runtime.powertools import AmazonCloudWatchEMFProvider, MetricUnit

if TYPE_CHECKING:
    from offload.core.hooks import RunReport
    from offload.core.records import ErrorRecord
    from offload.core.tasks.context import CurrentJob

_COUNTS = {State.SUCCEEDED: "JobsSucceeded", State.FAILED: "JobsFailed", State.RETRYING: "JobsRetried"}

_RETURNS = {SERVICE_ERROR: "ServiceErrors", NO_TIME_LEFT: "NoTimeLeft"}


class Telemetry(Hooks):
    """Log lines and metrics of one function.

    Args:
        task: The task's name: the service of each line and the dimension of each metric.
        namespace: CloudWatch namespace of the metrics.
    """

    def __init__(self, task: str, *, namespace: str = "Offload") -> None:
        """Write the lines of this library's own loggers as JSON; those of all others stay as they are."""
        library = logging.getLogger(LIBRARY)
        write_json(library, task)
        library.propagate = False  # or Lambda's own handler would write each line again
        # `Metrics` would share its metrics and dimensions with every `Metrics` of the task.
        self._metrics = AmazonCloudWatchEMFProvider(service=task, namespace=namespace)

    def after_run(self, job: CurrentJob, report: RunReport) -> None:  # noqa: ARG002 - the hook's signature
        """Count the run by the state that was recorded, and measure it."""
        if report.state is None:
            return
        if report.state in _COUNTS:
            self._count(_COUNTS[report.state])
        self._metrics.add_metric("JobDuration", MetricUnit.Milliseconds, report.usage["duration_ms"])
        if report.queue_latency_ms is not None:
            self._metrics.add_metric("QueueLatency", MetricUnit.Milliseconds, report.queue_latency_ms)

    def ended_without_run(self, task: str, job_id: str, state: State, error: ErrorRecord | None) -> None:  # noqa: ARG002 - the same
        """Count a failure."""
        if state is State.FAILED:
            self._count("JobsFailed")

    def message_returned(self, task: str, job_id: str, why: str) -> None:  # noqa: ARG002 - the same
        """Count what is not the ordinary course of a wait."""
        if why in _RETURNS:
            self._count(_RETURNS[why])

    def invocation_ended(self) -> None:
        """Write the metrics of the invocation, one line."""
        if self._metrics.metric_set:
            self._metrics.flush_metrics()

    def _count(self, name: str) -> None:
        self._metrics.add_metric(name, MetricUnit.Count, 1)
