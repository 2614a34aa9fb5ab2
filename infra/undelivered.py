"""The queue for what no schedule could deliver: ticks, and jobs whose long delay or wait is over.

EventBridge tries for a day while a service does not answer, and not at all when a queue or a permission is gone. Then
it drops what it could not send. Here it stays for two weeks, and an alarm tells of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra import nag
from offload.core.manifest import undelivered_name
from offload.core.retention import DEAD_LETTER_DAYS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aws_cdk import aws_sns as sns


class Undelivered(Construct):
    """The queue and who may send to it.

    Attributes:
        queue: The queue. Nothing polls it, so it costs nothing while it is empty.
    """

    def __init__(self, scope: Construct, id: str, *, stack: str) -> None:  # noqa: A002 - CDK's name
        """Create the queue."""
        super().__init__(scope, id)
        self.queue = sqs.Queue(
            self,
            "Queue",
            queue_name=undelivered_name(stack),
            retention_period=cdk.Duration.days(DEAD_LETTER_DAYS),
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
        )
        nag.acknowledge(self.queue, "SQS3", "It is a dead-letter queue: of schedules, which no redrive policy names")

    def accept(self, rules: Sequence[str]) -> None:
        """Allow EventBridge rules, by their ARNs, to send here. Schedules of EventBridge Scheduler have their roles."""
        if not rules:
            return
        self.queue.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal("events.amazonaws.com")],
                actions=["sqs:SendMessage"],
                resources=[self.queue.queue_arn],
                conditions={"ArnEquals": {"aws:SourceArn": list(rules)}},
            )
        )

    def watch(self, topic: sns.Topic) -> None:
        """Create the alarm for what lies in the queue."""
        alarm = cloudwatch.Alarm(
            self,
            "Alarm",
            alarm_description=(
                "EventBridge could not deliver a tick or a delayed job. Each message has in its attributes "
                "the reason and in its body what was to be sent: mend the reason, then send that to the task's queue"
            ),
            metric=self.queue.metric_approximate_number_of_messages_visible(
                period=cdk.Duration.minutes(5), statistic="max"
            ),
            threshold=1,
            evaluation_periods=1,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,  # an idle queue reports no data
        )
        alarm.add_alarm_action(actions.SnsAction(topic))
        alarm.add_ok_action(actions.SnsAction(topic))
