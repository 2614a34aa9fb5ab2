"""Alarms: six for each task, and two more for each further lane. All alarms notify one encrypted topic.

No alarm uses metric math: an alarm of a single queue names the queue, and the embedded engine does not support metric
math.
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

from infra.dashboard import job_metric
from infra.queues import visibility_timeout
from offload.core.durations import text
from offload.core.manifest import DEFAULT_LANE
from offload.core.ports import LONGEST_QUEUE_DELAY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from infra.stages import Stage
    from infra.task_pipeline import TaskPipeline
    from offload.core.tasks.settings import Settings

_PERIOD = cdk.Duration.minutes(5)
_NEAR_TIMEOUT = 0.9
"""Part of the timeout after which an invocation counts as too long."""


class AlarmTopic(Construct):
    """The topic of all alarms, with its encryption key.

    Attributes:
        topic: The SNS topic. People, chat rooms and pagers can subscribe to it.
    """

    def __init__(self, scope: Construct, id: str, *, stage: Stage) -> None:  # noqa: A002 - CDK's name
        """Create the topic and its key.

        The stack has its own key, because CloudWatch may not use AWS's key for SNS. The key costs a dollar a month.
        """
        super().__init__(scope, id)
        key = kms.Key(
            self,
            "Key",
            description=f"Alarms of {stage.stack}",
            enable_key_rotation=True,
            pending_window=cdk.Duration.days(7),
            removal_policy=cdk.RemovalPolicy.DESTROY,  # the key encrypts messages on their way, and no stored data
        )
        cloud_watch = iam.ServicePrincipal("cloudwatch.amazonaws.com")
        same_account = {"StringEquals": {"aws:SourceAccount": cdk.Stack.of(self).account}}
        key.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[cloud_watch],
                actions=["kms:Decrypt", "kms:GenerateDataKey*"],
                resources=["*"],  # in the policy of a key, `*` means this key
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
class _AlarmSettings:
    """The settings of one alarm.

    Attributes:
        name: Part of the construct id.
        metric: The measured metric.
        threshold: Value from which the alarm is raised.
        periods: Number of five-minute periods that must reach the threshold.
        meaning: What is wrong, for the alarm's description.
        notify_end: Notify the topic also when the alarm ends.
        among: Number of periods among which `periods` must reach the threshold; None for `periods` in a row.
    """

    name: str
    metric: cloudwatch.IMetric
    threshold: float
    periods: int
    meaning: str
    notify_end: bool = False
    among: int | None = None


def add_alarms(pipeline: TaskPipeline, topic: sns.Topic) -> None:
    """Create a task's alarms.

    Each lane has an alarm for dead letters and one for the age of its oldest job. The function has alarms for errors,
    for throttles, for invocations near the timeout and for services that fail its workers.
    """
    for settings in (*_lane_alarms(pipeline), *_function_alarms(pipeline)):
        alarm = cloudwatch.Alarm(
            pipeline,
            f"{settings.name}Alarm",
            alarm_description=f"Task {pipeline.task}: {settings.meaning}",
            metric=settings.metric,
            threshold=settings.threshold,
            evaluation_periods=settings.among or settings.periods,
            datapoints_to_alarm=settings.periods,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,  # an idle queue reports no data
        )
        alarm.add_alarm_action(actions.SnsAction(topic))
        if settings.notify_end:
            alarm.add_ok_action(actions.SnsAction(topic))


def longest_wait(settings: Settings) -> int:
    """Return the age in seconds from which the oldest job in a queue needs attention.

    Two kinds of messages are old without a problem: a delayed message waits up to 15 minutes, as a failed attempt does
    for its backoff, and the message of a crashed worker waits for its visibility timeout. The result is twice the sum
    of these times, and days less than SQS keeps a message.
    """
    return 2 * int(LONGEST_QUEUE_DELAY + visibility_timeout(settings).to_seconds())


def _lane_alarms(pipeline: TaskPipeline) -> Iterator[_AlarmSettings]:
    for lane, queues in pipeline.lanes.items():
        suffix, of_lane = ("", "") if lane == DEFAULT_LANE else (lane.title().replace("_", ""), f" of lane {lane}")
        yield _AlarmSettings(
            f"DeadLetters{suffix}",
            # NumberOfMessagesSent would not do: it does not count messages that SQS moves to a dead-letter queue.
            queues.dead_letters.metric_approximate_number_of_messages_visible(period=_PERIOD, statistic="max"),
            threshold=1,
            periods=1,
            meaning=f"jobs failed for good and wait in the dead-letter queue{of_lane}: see `offload dlq`",
            notify_end=True,
        )
        wait = longest_wait(pipeline.settings)
        yield _AlarmSettings(
            f"OldestJob{suffix}",
            queues.queue.metric_approximate_age_of_oldest_message(period=_PERIOD, statistic="max"),
            threshold=wait,
            periods=2,
            meaning=f"the oldest job{of_lane} has waited {text(wait)}: too few workers, or none succeeds",
        )


def _function_alarms(pipeline: TaskPipeline) -> Iterator[_AlarmSettings]:
    function = pipeline.function
    yield _AlarmSettings(
        "Errors",
        function.metric_errors(period=_PERIOD, statistic="sum"),
        threshold=1,
        periods=1,
        meaning="a worker crashed, or ran into `timeout`",
    )
    yield _AlarmSettings(
        "Throttles",
        function.metric_throttles(period=_PERIOD, statistic="sum"),
        threshold=1,
        periods=3,  # Lambda repeats a throttled batch by itself; only a lasting throttle needs a person
        meaning="Lambda refuses to run the function: the account's concurrency is used up",
    )
    yield _AlarmSettings(
        "NearTimeout",
        function.metric_duration(period=_PERIOD, statistic="max"),
        threshold=_NEAR_TIMEOUT * pipeline.settings.hard_limit * 1000,
        periods=1,
        meaning="an invocation took nine tenths of `timeout`",
    )
    yield _AlarmSettings(
        "ServiceErrors",
        # Nothing else tells of an outage in which nothing succeeds: copies replace the messages, so that none becomes
        # old, and none comes to the dead-letter queue.
        job_metric(pipeline.task, "ServiceErrors", "sum").with_(period=_PERIOD),
        threshold=1,
        periods=3,
        among=12,  # a message waits for up to 15 minutes before it is tried again, so not every period has an error
        meaning=(
            "jobs cannot start or end, because a service fails the workers (job table, bucket, queue, Scheduler, or a "
            "permission of the role): the log's lines `service error` say which, and no job is lost meanwhile"
        ),
    )
