"""EventBridge Scheduler: the group of the stack's schedules, and the roles with which they send to the queues."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_scheduler as scheduler
from constructs import Construct

if TYPE_CHECKING:
    from collections.abc import Iterable


class Timers(Construct):
    """The stack's schedule group, and the role of the schedules that clients and deployments make.

    Attributes:
        group: Name of the group: the name of the stack.
        role: Role that EventBridge Scheduler assumes; it may send to every queue.
    """

    def __init__(self, scope: Construct, id: str, *, stack: str, queues: Iterable[str]) -> None:  # noqa: A002 - CDK's name
        """Create the group and the role; the role allows only sends to `queues` (ARNs)."""
        super().__init__(scope, id)
        self.group = stack
        group = scheduler.CfnScheduleGroup(self, "Group", name=stack)
        self._group_arn = group.attr_arn
        self.role = self.role_for(self, "Role", queues)

    def role_for(self, scope: Construct, id: str, queues: Iterable[str]) -> iam.Role:  # noqa: A002 - CDK's name
        """Create a role with which schedules of the group may send to `queues` (ARNs) and to no other.

        Each function has its own: whoever may set a timer with a role can send wherever the role can.
        """
        return iam.Role(
            scope,
            id,
            description=f"EventBridge Scheduler sends delayed and scheduled jobs of {self.group}",
            assumed_by=iam.PrincipalWithConditions(
                iam.ServicePrincipal("scheduler.amazonaws.com"),
                {
                    # Only schedules of this group may use the role.
                    "StringEquals": {"aws:SourceAccount": cdk.Stack.of(self).account},
                    "ArnEquals": {"aws:SourceArn": self._group_arn},
                },
            ),
            inline_policies={
                "send": iam.PolicyDocument(
                    statements=[iam.PolicyStatement(actions=["sqs:SendMessage"], resources=sorted(queues))]
                )
            },
        )
