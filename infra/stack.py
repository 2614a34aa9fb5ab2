"""The stack: everything of one Offload deployment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aws_cdk as cdk
from aws_cdk import aws_ssm as ssm

from infra import targets
from infra.alarms import AlarmTopic, add_alarms
from infra.bundles import Bundler
from infra.dashboard import Dashboard
from infra.job_table import JobTable
from infra.reach import reachable
from infra.roles import Surroundings
from infra.task_pipeline import Plan, TaskPipeline
from infra.timers import Timers
from offload.core.errors import DefinitionError
from offload.core.manifest import Manifest, parameter_name, queue_name
from offload.core.registry import discover

if TYPE_CHECKING:
    from pathlib import Path

    from constructs import Construct

    from infra.stages import Stage


class OffloadStack(cdk.Stack):
    """One deployment.

    It names no account or region: those are the deployer's, and synth looks nothing up.

    Attributes:
        pipelines: The tasks as deployed, by name.
        jobs: Table and bucket.
    """

    def __init__(self, scope: Construct, id: str, *, root: Path, stage: Stage, bundler: Bundler | None = None) -> None:  # noqa: A002 - CDK's name
        """Create everything.

        Args:
            scope: The app.
            id: Construct id.
            root: Folder with the project's `functions/`.
            stage: The stage.
            bundler: Builds the functions' code; None takes the stage's own.

        Raises:
            DefinitionError: A task or a setting is wrong; names it.
        """
        super().__init__(scope, id, stack_name=stage.stack, description="Offload: background tasks")
        # CDK makes a function wait for its role twice over; cfn-lint calls the second time redundant, which it is.
        self.template_options.metadata = {"cfn-lint": {"config": {"ignore_checks": ["W3005"]}}}
        settings = {name: task.settings for name, task in discover(root).items()}
        if not settings:
            raise DefinitionError(f"no tasks under {root}: write functions/<name>/handler.py")
        for name in settings:
            reachable(name, settings)
        target = targets.choose(stage)
        if target.interpreter is None:
            cdk.Annotations.of(self).add_warning_v2(
                "offload:no-bytecode",
                f"No Python {target.python} on this machine: bundles carry no bytecode, and cold starts take two to "
                f"three times as long. Install it, or deploy with -c python=VERSION of one you have.",
            )
        self.jobs = JobTable(self, "State", stage=stage, tasks=settings.values())
        lanes = {name: list(own.priorities) for name, own in settings.items()}
        queues = [
            self.format_arn(service="sqs", resource=queue_name(stage.stack, name, lane))
            for name in lanes
            for lane in lanes[name]
        ]
        timers = Timers(self, "Timers", stack=stage.stack, queues=queues)
        manifest = Manifest(
            stack=stage.stack,
            account=self.account,
            region=self.region,
            table=self.jobs.table.table_name,
            bucket=self.jobs.bucket.bucket_name,
            tasks=lanes,
            timers={"group": timers.group, "role": timers.role.role_arn},
        )
        plan = Plan(
            stage=stage,
            target=target,
            bundler=bundler or Bundler(root, target),
            settings=settings,
            manifest=manifest,
            around=Surroundings(
                table=self.jobs.table.table_arn,
                bucket=self.jobs.bucket.bucket_arn,
                timer_role=timers.role.role_arn,
                timers=self.format_arn(service="scheduler", resource="schedule", resource_name=f"{timers.group}/*"),
                partition=self.partition,
                region=self.region,
                account=self.account,
            ),
            timers=timers,
        )
        self.pipelines = {name: TaskPipeline(self, _title(name), task=name, plan=plan) for name in settings}
        topic = AlarmTopic(self, "Alarms", stage=stage).topic
        for pipeline in self.pipelines.values():
            add_alarms(pipeline, topic)
        Dashboard(self, "Dashboard", stage=stage, pipelines=list(self.pipelines.values()))
        parameter = ssm.StringParameter(
            self,
            "Manifest",
            parameter_name=parameter_name(stage.stack),
            description="What this stack is made of; clients read it",
            string_value=manifest.dump(),
            # Free up to 4 KB, which some forty tasks fill; beyond, AWS makes it an advanced parameter at $0.05 a month.
            tier=ssm.ParameterTier.INTELLIGENT_TIERING,
        )
        cdk.CfnOutput(self, "ManifestParameter", value=parameter.parameter_name)
        cdk.CfnOutput(self, "AlarmTopic", value=topic.topic_arn)


def _title(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))
