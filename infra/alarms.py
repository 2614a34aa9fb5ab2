"""Alarms: five a task and two for each further lane, to one encrypted topic.

None uses metric math: one alarm a queue says by its name which one it is, and the embedded engine knows no other.
"""

from __future__ import annotations

from dataclasses import dataclass
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
from offload.core.durations import text
from offload.core.manifest import DEFAULT_LANE
from offload.core.ports import LONGEST_QUEUE_DELAY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from infra.stages import Stage
    from infra.task_pipeline import TaskPipeline
    from offload.core.settings import Settings

_WINDOW = cdk.Duration.minutes(5)
_NEAR_TIMEOUT = 0.9


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


@dataclass(frozen=True, slots=True)
class _Watch:
    """One alarm: what is measured, from where on, over how many five-minute periods, and what it means."""

    name: str
    metric: cloudwatch.IMetric
    threshold: float
    periods: int
    meaning: str
    tells_end: bool = False


def add_alarms(pipeline: TaskPipeline, topic: sns.Topic) -> None:
    """Create a task's alarms: for each lane dead letters and oldest job, then errors, throttles, near its timeout."""
    for watch in (*_lanes(pipeline), *_function(pipeline)):
        alarm = cloudwatch.Alarm(
            pipeline,
            f"{watch.name}Alarm",
            alarm_description=f"Task {pipeline.task}: {watch.meaning}",
            metric=watch.metric,
            threshold=watch.threshold,
            evaluation_periods=watch.periods,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,  # an idle queue reports nothing
        )
        alarm.add_alarm_action(actions.SnsAction(topic))
        if watch.tells_end:
            alarm.add_ok_action(actions.SnsAction(topic))


def patience(settings: Settings) -> int:
    """Return how many seconds old a job may be in its queue before somebody should look.

    A queue holds what is delayed up to 15 minutes, what waits for its next attempt, and what a crashed worker left
    until its visibility timeout; twice that sum is no longer any one of them.
    """
    backoff = settings.retry.bound(settings.retry.max_attempts)
    return 2 * int(LONGEST_QUEUE_DELAY + backoff + visibility_timeout(settings).to_seconds())


def _lanes(pipeline: TaskPipeline) -> Iterator[_Watch]:
    for lane, queues in pipeline.lanes.items():
        suffix, where = ("", "") if lane == DEFAULT_LANE else (lane.title().replace("_", ""), f" of lane {lane}")
        yield _Watch(
            f"DeadLetters{suffix}",
            # Not NumberOfMessagesSent: that one does not count what SQS itself moves to a dead-letter queue.
            queues.dead_letters.metric_approximate_number_of_messages_visible(period=_WINDOW, statistic="max"),
            threshold=1,
            periods=1,
            meaning=f"jobs failed for good and wait in the dead-letter queue{where}: see `offload dlq`",
            tells_end=True,
        )
        waiting = patience(pipeline.settings)
        yield _Watch(
            f"OldestJob{suffix}",
            queues.queue.metric_approximate_age_of_oldest_message(period=_WINDOW, statistic="max"),
            threshold=waiting,
            periods=2,
            meaning=f"the oldest job{where} has waited {text(waiting)}: too few workers, or none succeeds",
        )


def _function(pipeline: TaskPipeline) -> Iterator[_Watch]:
    function = pipeline.function
    yield _Watch(
        "Errors",
        function.metric_errors(period=_WINDOW, statistic="sum"),
        threshold=1,
        periods=1,
        meaning="a worker crashed, or ran into `timeout`",
    )
    yield _Watch(
        "Throttles",
        function.metric_throttles(period=_WINDOW, statistic="sum"),
        threshold=1,
        periods=3,  # pollers try a throttled batch again by themselves; lasting throttles are the account's limit
        meaning="Lambda refuses to run the function: the account's concurrency is used up",
    )
    yield _Watch(
        "NearTimeout",
        function.metric_duration(period=_WINDOW, statistic="max"),
        threshold=_NEAR_TIMEOUT * pipeline.settings.hard_limit * 1000,
        periods=1,
        meaning="an invocation took nine tenths of `timeout`",
    )
