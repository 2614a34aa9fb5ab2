"""EventBridge Scheduler: the group of the stack's schedules, and the roles with which they send to the queues."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_scheduler as scheduler
from constructs import Construct

from infra.undelivered import Undelivered

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from infra.stages import Stage


class Timers(Construct):
    """The stack's schedule group, and the roles of the schedules that clients, functions and deployments make.

    A schedule keeps its role for up to a year, so a role belongs to what lives as long: to the task that is sent to. A
    task that is removed takes its own queues along, and no role with which others are sent to. And whoever may set a
    timer with a role gets no further than to the queues of one task.

    Attributes:
        group: Name of the group: the name of the stack.
        role: Role that may send to every queue, for clients outside the stack and functions that may enqueue any task.
        roles: Roles that may send to the queues of one task, by task.
        undelivered: The queue for what could not be delivered.
    """

    def __init__(self, scope: Construct, id: str, *, stage: Stage, queues: Mapping[str, Iterable[str]]) -> None:  # noqa: A002 - CDK's name
        """Create the group, the roles and the queue.

        Args:
            scope: The stack.
            id: Construct id.
            stage: The stage.
            queues: ARNs of the queues, by task.
        """
        super().__init__(scope, id)
        self.group = stage.stack
        group = scheduler.CfnScheduleGroup(self, "Group", name=stage.stack)
        self._group_arn = group.attr_arn
        self.undelivered = Undelivered(self, "Undelivered", stack=stage.stack)
        self.role = self._role("Role", "any task", [arn for arns in queues.values() for arn in arns])
        self.roles = {task: self._role(f"Role-{task}", f"task {task}", arns) for task, arns in queues.items()}
        if stage.keeps_data:
            # A timer that finds no queue needs its role still: EventBridge Scheduler writes to the queue for the
            # undelivered with it. And a task that is deployed again has its old queue names.
            for role in self.roles.values():
                role.apply_removal_policy(cdk.RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE)

    def _role(self, id: str, whom: str, queues: Iterable[str]) -> iam.Role:  # noqa: A002 - CDK's name
        """Create a role with which schedules of the group may send to `queues` (ARNs) and to no other."""
        return iam.Role(
            self,
            id,
            description=f"EventBridge Scheduler sends jobs of {whom}, stack {self.group}",
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
                    statements=[
                        iam.PolicyStatement(
                            actions=["sqs:SendMessage"], resources=[*sorted(queues), self.undelivered.queue.queue_arn]
                        )
                    ]
                )
            },
        )
