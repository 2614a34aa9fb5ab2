"""One task type: its queues, its function, the mappings between them, its log group, role and schedules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aws_cdk as cdk
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra import environment, nag
from infra.queues import Lane
from infra.reach import importable, reachable
from infra.roles import Reach, function_role
from infra.schedules import add_schedule
from offload.core.errors import DefinitionError
from offload.core.manifest import DEFAULT_LANE, Manifest, queue_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.bundles import Bundler
    from infra.roles import Surroundings
    from infra.stages import Stage
    from infra.targets import Target
    from infra.timers import Timers
    from offload.core.settings import Settings

HANDLER = "offload.runtime.entry.handler"

_FUNCTION_LONGEST = 64


@dataclass(frozen=True, slots=True)
class Plan:
    """What every task's pipeline is built from.

    Attributes:
        stage: The stage.
        target: Where functions run.
        bundler: Builds their code.
        settings: Every task's settings.
        manifest: The whole stack's.
        around: What the functions share.
        timers: Group and role of one-time schedules.
    """

    stage: Stage
    target: Target
    bundler: Bundler
    settings: Mapping[str, Settings]
    manifest: Manifest
    around: Surroundings
    timers: Timers


class TaskPipeline(Construct):
    """A task as deployed.

    Attributes:
        task: Its name.
        settings: Its settings.
        lanes: Queues by lane.
        function: The worker.
    """

    def __init__(self, scope: Construct, id: str, *, task: str, plan: Plan) -> None:  # noqa: A002 - CDK's name
        """Create everything of one task.

        Raises:
            DefinitionError: A name or the environment is too long, or a task it names does not exist.
        """
        super().__init__(scope, id)
        self.task, self.settings = task, plan.settings[task]
        stack = plan.stage.stack
        self.lanes = {
            lane: Lane(self, f"Lane{_title(lane)}", stack=stack, task=task, settings=self.settings, lane=lane)
            for lane in self.settings.priorities
        }
        targets = reachable(task, plan.settings)
        self.function = self._function(plan, targets)
        for lane, queues in self.lanes.items():
            lambda_.EventSourceMapping(
                self,
                f"Mapping{_title(lane)}",
                target=self.function,
                event_source_arn=queues.queue.queue_arn,
                batch_size=self.settings.batch_size,
                # Without it a handler's answer is ignored, and one failed job brings its whole batch back.
                report_batch_item_failures=True,
                # Each lane may use it all: a share of its own would leave a busy lane waiting beside idle ones. So
                # the function runs at most lanes x max_concurrency at once.
                max_concurrency=self.settings.max_concurrency,
            )
        for index, schedule in enumerate(self.settings.schedules):
            add_schedule(
                self,
                task,
                index,
                schedule,
                queue=self.lanes[DEFAULT_LANE].queue,
                timers=plan.timers,
                zones=not plan.stage.on_host,
            )

    def _function(self, plan: Plan, targets: list[str]) -> lambda_.Function:
        name = f"{plan.stage.stack}-{self.task}"
        if len(name) > _FUNCTION_LONGEST:
            raise DefinitionError(
                f"function name {name!r} is over {_FUNCTION_LONGEST} characters: shorten stack or task"
            )
        log_name = f"/aws/lambda/{name}"
        here = cdk.Stack.of(self)
        log_group = logs.LogGroup(
            self,
            "Logs",
            log_group_name=log_name,
            retention=_RETENTION[plan.stage.log_days],
            removal_policy=cdk.RemovalPolicy.RETAIN if plan.stage.keeps_data else cdk.RemovalPolicy.DESTROY,
        )
        arns = {
            target: [
                here.format_arn(service="sqs", resource=queue_name(plan.stage.stack, target, lane)) for lane in lanes
            ]
            for target, lanes in plan.manifest.tasks.items()
        }
        everyone = "*" in self.settings.enqueues
        role = function_role(
            self,
            "Role",
            Reach(
                task=self.task,
                settings=self.settings,
                own=arns[self.task],
                others=[arn for target in targets if target != self.task for arn in arns[target]],
                targets=["*"] if everyone else targets,
                logs=here.format_arn(
                    service="logs",
                    resource="log-group",
                    resource_name=log_name,
                    arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
                ),
            ),
            plan.around,
        )
        bundle = plan.bundler.bundle(self.task, importable(self.task, plan.settings))
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
            environment=environment.build(self.task, self.settings, plan.manifest, targets),
            # Tasks that enqueue tasks are legitimate; messages count their hops and end with a clear error.
            recursive_loop=lambda_.RecursiveLoop.ALLOW,
        )
        nag.explain(function, "L1", "Functions run the Python they were tested on; `-c python=3.14` moves them")
        return function


def _title(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


_RETENTION: dict[int, Any] = {
    1: logs.RetentionDays.ONE_DAY,
    14: logs.RetentionDays.TWO_WEEKS,
    90: logs.RetentionDays.THREE_MONTHS,
}
