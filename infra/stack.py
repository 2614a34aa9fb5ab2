"""The CDK stack of one Offload deployment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aws_cdk as cdk

from infra import targets
from infra.alarms import AlarmTopic, add_alarms
from infra.bundles import Bundler
from infra.dashboard import Dashboard
from infra.job_table import JobTable
from infra.parameters import ManifestParameters
from infra.roles import SharedResources
from infra.task_pipeline import Plan, TaskPipeline
from infra.timers import Timers
from offload.core.errors import DefinitionError
from offload.core.manifest import Manifest, queue_name
from offload.core.tasks.manifest_entry import manifest_entry
from offload.core.tasks.registry import discover

if TYPE_CHECKING:
    from pathlib import Path

    from constructs import Construct

    from infra.stages import Stage


class OffloadStack(cdk.Stack):
    """One deployment of Offload.

    The stack names no account and no region, so that synth needs no credentials. Whoever deploys the stack chooses
    both.

    Attributes:
        pipelines: The resources of each task, by task name.
        jobs: The job table and its bucket.
    """

    def __init__(self, scope: Construct, id: str, *, root: Path, stage: Stage, bundler: Bundler | None = None) -> None:  # noqa: A002 - CDK's name
        """Create all resources.

        Args:
            scope: The app.
            id: Construct id.
            root: Folder with the project's `functions/`.
            stage: The stage.
            bundler: Builds the code of the functions; None means a bundler for the stage's target.

        Raises:
            DefinitionError: A task or a setting is wrong. The message names it.
        """
        super().__init__(scope, id, stack_name=stage.stack, description="Offload: background tasks")
        # CDK makes a function depend on its role twice. cfn-lint reports the redundant dependency, which is harmless.
        self.template_options.metadata = {"cfn-lint": {"config": {"ignore_checks": ["W3005"]}}}
        tasks = discover(root)
        settings = {name: task.settings for name, task in tasks.items()}
        if not settings:
            raise DefinitionError(f"no tasks under {root}: write functions/<name>/handler.py")
        target = targets.choose(stage)
        if target.interpreter is None:
            cdk.Annotations.of(self).add_warning_v2(
                "offload:no-bytecode",
                f"No Python {target.python} on this machine: bundles contain no bytecode, and cold starts take two to "
                f"three times as long. Install this Python, or deploy with -c python=VERSION of one you have.",
            )
        self.jobs = JobTable(self, "State", stage=stage)
        queues = {
            name: [
                self.format_arn(service="sqs", resource=queue_name(stage.stack, name, lane))
                for lane in task_settings.priorities
            ]
            for name, task_settings in settings.items()
        }
        timers = Timers(self, "Timers", stage=stage, queues=queues)
        manifest = Manifest(
            stack=stage.stack,
            account=self.account,
            region=self.region,
            table=self.jobs.table.table_name,
            bucket=self.jobs.bucket.bucket_name,
            tasks={name: manifest_entry(task) for name, task in tasks.items()},
            timers={"group": timers.group, "role": timers.role.role_arn},
        )
        plan = Plan(
            stage=stage,
            target=target,
            bundler=bundler or Bundler(root, target),
            settings=settings,
            manifest=manifest,
            shared=SharedResources(
                table=self.jobs.table.table_arn,
                bucket=self.jobs.bucket.bucket_arn,
                timers=self.format_arn(service="scheduler", resource="schedule", resource_name=f"{timers.group}/"),
                stack=stage.stack,
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
        timers.undelivered.accept([rule for pipeline in self.pipelines.values() for rule in pipeline.rules])
        timers.undelivered.watch(topic)
        Dashboard(self, "Dashboard", stage=stage, pipelines=list(self.pipelines.values()))
        parameter = ManifestParameters(self, "Manifest", manifest=manifest).parameter
        cdk.CfnOutput(self, "ManifestParameter", value=parameter.parameter_name)
        cdk.CfnOutput(self, "AlarmTopic", value=topic.topic_arn)


def _title(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))
