"""One-time and zoned schedules: an EventBridge Scheduler group, and the role by which it sends to the queues."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_scheduler as scheduler
from constructs import Construct

if TYPE_CHECKING:
    from collections.abc import Iterable


class Timers(Construct):
    """The stack's schedule group and its role.

    Attributes:
        group: Name of the group, which is the stack's.
        role: Role that EventBridge Scheduler takes on.
    """

    def __init__(self, scope: Construct, id: str, *, stack: str, queues: Iterable[str]) -> None:  # noqa: A002 - CDK's name
        """Create both; the role may send to `queues` (ARNs) and do nothing else."""
        super().__init__(scope, id)
        self.group = stack
        here = cdk.Stack.of(self)
        group = scheduler.CfnScheduleGroup(self, "Group", name=stack)
        self.role = iam.Role(
            self,
            "Role",
            description=f"EventBridge Scheduler sends the delayed and scheduled jobs of {stack}",
            assumed_by=iam.PrincipalWithConditions(
                iam.ServicePrincipal("scheduler.amazonaws.com"),
                {
                    # Schedules of this group alone, not of whoever learns the role's name.
                    "StringEquals": {"aws:SourceAccount": here.account},
                    "ArnEquals": {"aws:SourceArn": group.attr_arn},
                },
            ),
            inline_policies={
                "send": iam.PolicyDocument(
                    statements=[iam.PolicyStatement(actions=["sqs:SendMessage"], resources=sorted(queues))]
                )
            },
        )
