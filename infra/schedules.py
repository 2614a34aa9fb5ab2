"""Static schedules: EventBridge rules, and EventBridge Scheduler where a rule cannot serve.

The message's job id follows from task, schedule and tick, so a tick that is delivered twice makes one job.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_scheduler as scheduler

from offload.core.errors import DefinitionError
from offload.core.messages import VERSION

if TYPE_CHECKING:
    from aws_cdk import aws_sqs as sqs
    from constructs import Construct

    from infra.timers import Timers
    from offload.core.schedules import Schedule

_TEMPLATE_LONGEST = 8192
_UTC = ("UTC", "Etc/UTC")
_SPECIAL = set("<>\\")


def add_schedule(
    scope: Construct, task: str, index: int, schedule: Schedule, *, queue: sqs.Queue, timers: Timers, zones: bool
) -> None:
    """Send a job to `queue` at every tick.

    Rules are free but know only UTC, and their templates give `<`, `>` and backslashes meanings of their own. A
    schedule with another time zone, or with one of those in its payload, is therefore a Scheduler schedule, whose
    input is taken as it is (the first 14 million ticks a month are free there too).

    Args:
        scope: Where the schedule belongs.
        task: Task name.
        index: Position in the task's `schedules`; part of the job id.
        schedule: When, and with which payload.
        queue: Where to.
        timers: Group and role of Scheduler schedules.
        zones: False reads zoned times as UTC: the embedded engine's Scheduler knows no zones and fills no tick time in.

    Raises:
        DefinitionError: The payload is too large for a rule.
    """
    zone = getattr(schedule, "timezone", "UTC")
    if zones and (zone not in _UTC or _SPECIAL & set(_written(schedule.payload))):
        _zoned(scope, task, index, schedule, zone=zone, queue=queue, timers=timers)
    else:
        _rule(scope, task, index, schedule, queue=queue)


def _written(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _message(task: str, index: int, schedule: Schedule, tick: str) -> dict[str, Any]:
    return {
        "version": VERSION,
        "id": f"cron:{task}:{index}:{tick}",
        "task": task,
        "enqueued_at": tick,
        "payload": schedule.payload,
    }


def _rule(scope: Construct, task: str, index: int, schedule: Schedule, *, queue: sqs.Queue) -> None:
    template = _written(_message(task, index, schedule, "@tick@"))
    # Only the embedded engine, which has no literal inputs to offer, gets here with a `<` in the payload.
    template = template.replace("<", "\\u003c").replace("@tick@", "<time>", 2)
    if len(template) > _TEMPLATE_LONGEST:
        raise DefinitionError(
            f"task {task!r}: the payload of schedule {index} makes a message of {len(template)} characters; "
            f"EventBridge takes {_TEMPLATE_LONGEST}"
        )
    rule = events.CfnRule(
        scope,
        f"Schedule{index}",
        description=f"Task {task}, schedule {index}",
        schedule_expression=schedule.aws_expression(),
        state="ENABLED" if schedule.enabled else "DISABLED",
        targets=[
            events.CfnRule.TargetProperty(
                id="queue",
                arn=queue.queue_arn,
                input_transformer=events.CfnRule.InputTransformerProperty(
                    input_paths_map={"time": "$.time"}, input_template=template
                ),
            )
        ],
    )
    queue.add_to_resource_policy(
        iam.PolicyStatement(
            principals=[iam.ServicePrincipal("events.amazonaws.com")],
            actions=["sqs:SendMessage"],
            resources=[queue.queue_arn],
            conditions={"ArnEquals": {"aws:SourceArn": rule.attr_arn}},
        )
    )


def _zoned(
    scope: Construct, task: str, index: int, schedule: Schedule, *, zone: str, queue: sqs.Queue, timers: Timers
) -> None:
    message = _message(task, index, schedule, "<aws.scheduler.scheduled-time>")
    scheduler.CfnSchedule(
        scope,
        f"Schedule{index}",
        description=f"Task {task}, schedule {index}",
        group_name=timers.group,
        schedule_expression=schedule.aws_expression(),
        schedule_expression_timezone=zone,
        state="ENABLED" if schedule.enabled else "DISABLED",
        flexible_time_window=scheduler.CfnSchedule.FlexibleTimeWindowProperty(mode="OFF"),
        target=scheduler.CfnSchedule.TargetProperty(
            arn=queue.queue_arn,
            role_arn=timers.role.role_arn,
            input=_written(message),
        ),
    ).node.add_dependency(timers)
