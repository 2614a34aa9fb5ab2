"""Alarms: five a task, to one encrypted topic."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from infra.queues import visibility_timeout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aws_cdk import aws_sqs as sqs

    from infra.stages import Stage
    from infra.task_pipeline import TaskPipeline

_WINDOW = cdk.Duration.minutes(5)
_NEAR_TIMEOUT = 0.9
_PATIENCE = 900
"""Seconds a job may wait in line before somebody should look, where its task is not itself slower than that."""


class AlarmTopic(Construct):
    """Where alarms go.

    Attributes:
        topic: Subscribe people, chat or a pager to it.
    """

    def __init__(self, scope: Construct, id: str, *, stage: Stage) -> None:  # noqa: A002 - CDK's name
        """Create the topic and its key.

        The key is the stack's own, since CloudWatch may not use AWS's key for SNS; it costs a dollar a month.
        """
        super().__init__(scope, id)
        key = kms.Key(
            self,
            "Key",
            description=f"Alarms of {stage.stack}",
            enable_key_rotation=True,
            pending_window=cdk.Duration.days(7),
            removal_policy=cdk.RemovalPolicy.DESTROY,  # it protects messages in transit, nothing that is kept
        )
        here = cdk.Stack.of(self)
        cloud_watch = iam.ServicePrincipal("cloudwatch.amazonaws.com")
        same_account = {"StringEquals": {"aws:SourceAccount": here.account}}
        key.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[cloud_watch],
                actions=["kms:Decrypt", "kms:GenerateDataKey*"],
                resources=["*"],  # in a key's policy: this key
                conditions=same_account,
            )
        )
        self.topic = sns.Topic(self, "Topic", display_name=f"{stage.stack} alarms", master_key=key, enforce_ssl=True)
        self.topic.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[cloud_watch],
                actions=["sns:Publish"],
                resources=[self.topic.topic_arn],
                conditions=same_account,
            )
        )
        if stage.alarm_email:
            self.topic.add_subscription(subscriptions.EmailSubscription(stage.alarm_email))


def add_alarms(pipeline: TaskPipeline, topic: sns.Topic) -> None:
    """Create a task's alarms: dead letters, oldest job, errors, throttles, near its timeout."""
    queues = list(pipeline.lanes.values())
    waiting = max(_PATIENCE, 2 * visibility_timeout(pipeline.settings).to_seconds())
    function = pipeline.function
    near = _NEAR_TIMEOUT * pipeline.settings.hard_limit * 1000
    # Not NumberOfMessagesSent: that one does not count what SQS itself moves to a dead-letter queue.
    depth = across([lane.dead_letters for lane in queues], "ApproximateNumberOfMessagesVisible", "SUM")
    age = across([lane.queue for lane in queues], "ApproximateAgeOfOldestMessage", "MAX")
    wanted: Sequence[tuple[str, cloudwatch.IMetric, float, int, str]] = (
        ("DeadLetters", depth, 1, 1, "jobs failed for good and wait in the dead-letter queue: `offload dlq show`"),
        (
            "OldestJob",
            age,
            waiting,
            2,
            f"the oldest job has waited over {waiting} s: too few workers, or none succeeds",
        ),
        ("Errors", _sum(function.metric_errors(period=_WINDOW)), 1, 1, "a worker crashed or ran into its timeout"),
        # Pollers retry a throttle by themselves; lasting ones mean that the account's concurrency is used up.
        ("Throttles", _sum(function.metric_throttles(period=_WINDOW)), 1, 3, "Lambda refused to run the function"),
        (
            "NearTimeout",
            function.metric_duration(period=_WINDOW, statistic="max"),
            near,
            1,
            "a run took 9/10 of `timeout`",
        ),
    )
    for name, metric, threshold, periods, meaning in wanted:
        alarm = cloudwatch.Alarm(
            pipeline,
            f"{name}Alarm",
            alarm_description=f"Task {pipeline.task}: {meaning}",
            metric=metric,
            threshold=threshold,
            evaluation_periods=periods,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,  # an idle queue reports nothing
        )
        alarm.add_alarm_action(actions.SnsAction(topic))
        if name == "DeadLetters":
            alarm.add_ok_action(actions.SnsAction(topic))  # the others come and go; an emptied queue is worth knowing


def across(queues: Sequence[sqs.Queue], metric: str, total: str, *, label: str | None = None) -> cloudwatch.IMetric:
    """Return a queue metric over a task's lanes; `total` is `SUM` or `MAX`."""
    single = [queue.metric(metric, period=_WINDOW, statistic="max", label=label) for queue in queues]
    if len(single) == 1:
        return single[0]
    return cloudwatch.MathExpression(
        expression=f"{total}(METRICS())",
        using_metrics={f"m{number}": item for number, item in enumerate(single)},
        period=_WINDOW,
        label=label,
    )


def _sum(metric: cloudwatch.Metric) -> cloudwatch.Metric:
    return metric.with_(statistic="sum")
