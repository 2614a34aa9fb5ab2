"""The resources of one task: queues, function, event source mappings, log group, role and schedules."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import aws_cdk as cdk
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra import environment, nag
from infra.enqueueing import may_enqueue, may_import
from infra.queues import Lane
from infra.roles import TaskResources, function_role
from infra.schedules import add_schedule
from offload.core.errors import DefinitionError
from offload.core.manifest import DEFAULT_LANE, Manifest, queue_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.bundles import Bundler
    from infra.roles import SharedResources
    from infra.stages import Stage
    from infra.targets import Target
    from infra.timers import Timers
    from offload.core.tasks.settings import Settings

HANDLER = "offload.runtime.entry.handler"

_LONGEST_NAME = 64
"""Characters that Lambda allows in a function's name."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The common parts of all tasks' pipelines.

    Attributes:
        stage: The stage.
        target: The machine that functions run on.
        bundler: Builds the code of functions.
        settings: Settings of all tasks, by name.
        manifest: Manifest of the whole stack.
        shared: Resources that the functions share.
        timers: Group and roles of one-time schedules.
    """

    stage: Stage
    target: Target
    bundler: Bundler
    settings: Mapping[str, Settings]
    manifest: Manifest
    shared: SharedResources
    timers: Timers


class TaskPipeline(Construct):
    """The resources of one task.

    Attributes:
        task: Name of the task.
        settings: Settings of the task.
        lanes: The queues of each lane, by lane.
        function: The Lambda function with the worker.
        rules: ARNs of the EventBridge rules of the task's schedules.
    """

    def __init__(self, scope: Construct, id: str, *, task: str, plan: Plan) -> None:  # noqa: A002 - CDK's name
        """Create all resources of one task.

        Raises:
            DefinitionError: A name or the environment is too long, or a setting names a task that does not exist.
        """
        super().__init__(scope, id)
        self.task, self.settings = task, plan.settings[task]
        stack = plan.stage.stack
        self.lanes = {
            lane: Lane(self, f"Lane{_title(lane)}", stack=stack, task=task, settings=self.settings, lane=lane)
            for lane in self.settings.priorities
        }
        self.function = self._function(plan, may_enqueue(task, plan.settings))
        for lane, queues in self.lanes.items():
            lambda_.EventSourceMapping(
                self,
                f"Mapping{_title(lane)}",
                target=self.function,
                event_source_arn=queues.queue.queue_arn,
                batch_size=self.settings.batch_size,
                # Without this, one failed job makes SQS deliver its whole batch again.
                report_batch_item_failures=True,
                # Each lane may use the whole concurrency, so that a busy lane does not wait while others are idle. The
                # function thus runs at most lanes x max_concurrency times at once.
                max_concurrency=self.settings.max_concurrency,
            )
        rules = [
            add_schedule(
                self,
                task,
                index,
                schedule,
                queue=self.lanes[DEFAULT_LANE].queue,
                timers=plan.timers,
                rules_alone=plan.stage.on_host,
            )
            for index, schedule in enumerate(self.settings.schedules)
        ]
        self.rules = [rule for rule in rules if rule is not None]

    def _function(self, plan: Plan, enqueues: list[str]) -> lambda_.Function:
        name = f"{plan.stage.stack}-{self.task}"
        if len(name) > _LONGEST_NAME:
            raise DefinitionError(f"function name {name!r} is over {_LONGEST_NAME} characters: shorten stack or task")
        log_name = f"/aws/lambda/{name}"
        stack = cdk.Stack.of(self)
        log_group = logs.LogGroup(
            self,
            "Logs",
            log_group_name=log_name,
            retention=_RETENTION[plan.stage.log_days],
            removal_policy=cdk.RemovalPolicy.RETAIN if plan.stage.keeps_data else cdk.RemovalPolicy.DESTROY,
        )
        queue_arns = {
            task: [
                stack.format_arn(service="sqs", resource=queue_name(plan.stage.stack, task, lane))
                for lane in plan.manifest.lanes(task)
            ]
            for task in plan.manifest.tasks
        }
        own_queues = queue_arns[self.task]
        other_queues = [arn for task in enqueues if task != self.task for arn in queue_arns[task]]
        timers: dict[str, Any] = {"group": plan.timers.group}
        if "*" in self.settings.enqueues:
            timers["role"] = plan.timers.role.role_arn
        else:
            timers["roles"] = {name: plan.timers.roles[name].role_arn for name in sorted({self.task, *enqueues})}
        role = function_role(
            self,
            "Role",
            TaskResources(
                task=self.task,
                settings=self.settings,
                own_queues=own_queues,
                other_queues=other_queues,
                enqueues=["*"] if "*" in self.settings.enqueues else enqueues,
                log_group=stack.format_arn(
                    service="logs",
                    resource="log-group",
                    resource_name=log_name,
                    arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
                ),
                timer_roles=list(timers["roles"].values()) if "roles" in timers else [timers["role"]],
            ),
            plan.shared,
        )
        known = {name: plan.manifest.tasks[name] for name in sorted({self.task, *enqueues})}
        bundle = plan.bundler.bundle(self.task, may_import(self.task, plan.settings), known)
        function = lambda_.Function(
            self,
            "Function",
            function_name=name,
            description=f"Offload task {self.task}",
            code=lambda_.Code.from_asset(
                str(bundle.path), asset_hash=bundle.digest, asset_hash_type=cdk.AssetHashType.CUSTOM
            ),
            handler=HANDLER,
            runtime=lambda_.Runtime(f"python{plan.target.python}", lambda_.RuntimeFamily.PYTHON),
            architecture=lambda_.Architecture.ARM_64 if plan.target.machine == "arm64" else lambda_.Architecture.X86_64,
            timeout=cdk.Duration.seconds(self.settings.hard_limit),
            memory_size=self.settings.memory,
            role=role,
            log_group=log_group,
            environment=environment.build(self.task, self.settings, replace(plan.manifest, timers=timers)),
            # Lambda's guard would stop tasks that enqueue tasks. The limit of hops in messages ends an endless chain.
            recursive_loop=lambda_.RecursiveLoop.ALLOW,
        )
        nag.acknowledge(
            function,
            "L1",
            "Functions run on the deployer's Python, or else on 3.13: see infra/targets.py; `-c python=` selects",
        )
        return function


def _title(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


_RETENTION: dict[int, Any] = {
    1: logs.RetentionDays.ONE_DAY,
    14: logs.RetentionDays.TWO_WEEKS,
    90: logs.RetentionDays.THREE_MONTHS,
}
