"""The dashboard: graphs of the whole stack at the top, then one row for each task."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from infra.environment import METRICS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aws_cdk import aws_sqs as sqs

    from infra.stages import Stage
    from infra.task_pipeline import TaskPipeline

_OUTCOMES = {"JobsSucceeded": "#2ca02c", "JobsRetried": "#ff7f0e", "JobsFailed": "#d62728"}
_PERIOD = cdk.Duration.minutes(5)  # the period of SQS's own metrics, which are free
_QUARTER, _THIRD, _HALF = 6, 8, 12
"""Widths of graphs; a dashboard has 24 columns."""


class Dashboard(Construct):
    """The stack's CloudWatch dashboard, named after the stack and its region."""

    def __init__(self, scope: Construct, id: str, *, stage: Stage, pipelines: Sequence[TaskPipeline]) -> None:  # noqa: A002 - CDK's name
        """Create the dashboard."""
        super().__init__(scope, id)
        board = cloudwatch.Dashboard(
            self,
            "Board",
            dashboard_name=f"{stage.stack}-{cdk.Stack.of(self).region}",
            default_interval=cdk.Duration.hours(3),
            period_override=cloudwatch.PeriodOverride.AUTO,
        )
        board.add_widgets(
            *(
                _graph(
                    title,
                    _THIRD,
                    [job_metric(pipeline.task, name, "sum", label=pipeline.task) for pipeline in pipelines],
                    stacked=True,
                )
                for title, name in (
                    ("Jobs succeeded", "JobsSucceeded"),
                    ("Jobs retried", "JobsRetried"),
                    ("Jobs failed", "JobsFailed"),
                )
            )
        )
        board.add_widgets(
            _graph("Waiting jobs", _HALF, [_waiting(pipeline, pipeline.task) for pipeline in pipelines], stacked=True),
            _graph("Dead letters", _HALF, [_dead(pipeline, pipeline.task) for pipeline in pipelines], stacked=True),
        )
        for pipeline in pipelines:
            board.add_widgets(cloudwatch.TextWidget(markdown=f"## {pipeline.task}", width=24, height=1))
            board.add_widgets(*_row(pipeline))


def job_metric(
    task: str, name: str, statistic: str, *, label: str | None = None, color: str | None = None
) -> cloudwatch.Metric:
    """Return a metric that the workers of a task report."""
    return cloudwatch.Metric(
        namespace=METRICS,
        metric_name=name,
        dimensions_map={"service": task},
        statistic=statistic,
        period=cdk.Duration.minutes(1),
        label=label or f"{name} {statistic}",
        color=color,
    )


def _row(pipeline: TaskPipeline) -> list[cloudwatch.IWidget]:
    minute = cdk.Duration.minutes(1)
    task, function = pipeline.task, pipeline.function
    queues = [lane.queue for lane in pipeline.lanes.values()]
    return [
        _graph(
            "Outcomes",
            _QUARTER,
            [job_metric(task, name, "sum", label=name, color=color) for name, color in _OUTCOMES.items()],
        ),
        _graph(
            "Milliseconds: running, and waiting in the queue",
            _QUARTER,
            [job_metric(task, name, stat) for name in ("JobDuration", "QueueLatency") for stat in ("p50", "p95")],
        ),
        _graph(
            "Queue",
            _QUARTER,
            [
                _waiting(pipeline, "waiting"),
                _over_queues(queues, "ApproximateNumberOfMessagesNotVisible", "SUM", label="in flight"),
                _dead(pipeline, "dead letters"),
            ],
            right=[_over_queues(queues, "ApproximateAgeOfOldestMessage", "MAX", label="oldest, seconds")],
        ),
        _graph(
            "Function",
            _QUARTER,
            [
                function.metric_invocations(period=minute, label="invocations"),
                function.metric_errors(period=minute, label="errors"),
                function.metric_throttles(period=minute, label="throttles"),
                function.metric("ConcurrentExecutions", period=minute, statistic="max", label="at once"),
            ],
        ),
    ]


def _waiting(pipeline: TaskPipeline, label: str) -> cloudwatch.IMetric:
    queues = [lane.queue for lane in pipeline.lanes.values()]
    return _over_queues(queues, "ApproximateNumberOfMessagesVisible", "SUM", label=label)


def _dead(pipeline: TaskPipeline, label: str) -> cloudwatch.IMetric:
    queues = [lane.dead_letters for lane in pipeline.lanes.values()]
    return _over_queues(queues, "ApproximateNumberOfMessagesVisible", "SUM", label=label)


def _over_queues(
    queues: Sequence[sqs.Queue], metric: str, function: str, *, label: str | None = None
) -> cloudwatch.IMetric:
    """Return one metric over several queues of a task; `function` is `SUM` or `MAX`."""
    metrics = {
        # The ids of metrics must be unique within a graph.
        f"q{queue.node.addr[-8:]}_{metric}": queue.metric(metric, period=_PERIOD, statistic="max", label=label)
        for queue in queues
    }
    if len(metrics) == 1:
        return next(iter(metrics.values()))
    return cloudwatch.MathExpression(
        expression=f"{function}([{', '.join(metrics)}])", using_metrics=metrics, period=_PERIOD, label=label
    )


def _graph(
    title: str,
    width: int,
    left: Sequence[cloudwatch.IMetric],
    *,
    right: Sequence[cloudwatch.IMetric] = (),
    stacked: bool = False,
) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(
        title=title,
        width=width,
        height=6,
        left=list(left),
        right=list(right),
        stacked=stacked,
        left_y_axis=cloudwatch.YAxisProps(min=0),
        right_y_axis=cloudwatch.YAxisProps(min=0),
    )
