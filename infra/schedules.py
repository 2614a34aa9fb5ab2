"""The schedules of tasks: EventBridge rules, or EventBridge Scheduler for a schedule that a rule cannot represent.

The job id consists of task, schedule, stack and tick, so a tick that is delivered twice makes one job. CloudFormation
draws the stack's part when the stack is created, and nobody outside knows that part: whoever could compute the ids of
coming ticks could use them up before.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_scheduler as scheduler

from offload.core.errors import DefinitionError
from offload.core.messages.message import VERSION
from offload.core.ports import LONGEST_DELIVERY, MOST_DELIVERIES

if TYPE_CHECKING:
    from aws_cdk import aws_sqs as sqs
    from constructs import Construct

    from infra.timers import Timers
    from infra.undelivered import Undelivered
    from offload.core.schedules import Schedule

_LONGEST_TEMPLATE = 8192
"""Characters that EventBridge allows in the template of a rule's input."""

_STACK = "@stack@"
_DRAWN = 36
"""Characters of the part of a stack's id that is drawn."""

_UTC = ("UTC", "Etc/UTC")
_SPECIAL_CHARACTERS = set("<>\\")
"""Characters that have a meaning in the template of a rule's input."""


def add_schedule(
    scope: Construct, task: str, index: int, schedule: Schedule, *, queue: sqs.Queue, timers: Timers, rules_alone: bool
) -> str | None:
    """Send a message to `queue` at every tick, and return the ARN of the rule that does it, if it is one.

    EventBridge rules are free. But rules know only UTC, and the characters `<`, `>` and backslash have a meaning in
    their templates. A schedule with another time zone, or with such a character in its payload, therefore becomes a
    schedule of EventBridge Scheduler, which sends its input unchanged. There the first 14 million ticks a month are
    free.

    Args:
        scope: Construct that the schedule belongs to.
        task: Name of the task.
        index: Position in the task's `schedules`; part of the job id.
        schedule: The times and the payload.
        queue: The queue to send to.
        timers: Group and roles of schedules in EventBridge Scheduler, and the queue for what is not delivered.
        rules_alone: Use a rule for every schedule, and read every time as UTC. The embedded engine needs this: its
            Scheduler knows no time zones, and does not fill the time of the tick into the input.

    Raises:
        DefinitionError: The payload is too large for a rule.
    """
    timezone = getattr(schedule, "timezone", "UTC")
    needs_scheduler = timezone not in _UTC or bool(_SPECIAL_CHARACTERS & set(_compact(schedule.payload)))
    if needs_scheduler and not rules_alone:
        _add_to_scheduler(scope, task, index, schedule, timezone=timezone, queue=queue, timers=timers)
        return None
    return _add_rule(scope, task, index, schedule, queue=queue, undelivered=timers.undelivered)


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _message(task: str, index: int, schedule: Schedule, tick: str) -> dict[str, Any]:
    return {
        "version": VERSION,
        "id": f"cron:{task}:{index}:{_STACK}:{tick}",
        "task": task,
        "enqueued_at": tick,
        "payload": schedule.payload,
    }


def _for_stack(text: str) -> str:
    """Return the text of a message with the drawn part of the stack's id: `arn:...:stack/NAME/DRAWN`."""
    drawn = cdk.Fn.select(2, cdk.Fn.split("/", cdk.Aws.STACK_ID))
    return text.replace(_STACK, drawn, 1)  # the first one is the id's; a payload may have more


def _add_rule(
    scope: Construct, task: str, index: int, schedule: Schedule, *, queue: sqs.Queue, undelivered: Undelivered
) -> str:
    template = _compact(_message(task, index, schedule, "@tick@"))
    # With `rules_alone`, the payload may contain a `<`, which would begin a placeholder.
    template = template.replace("<", "\\u003c").replace("@tick@", "<time>", 2)
    length = len(template) - len(_STACK) + _DRAWN
    if length > _LONGEST_TEMPLATE:
        raise DefinitionError(
            f"task {task!r}: the payload of schedule {index} makes a message of {length} characters; "
            f"EventBridge takes {_LONGEST_TEMPLATE}"
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
                    input_paths_map={"time": "$.time"}, input_template=_for_stack(template)
                ),
                retry_policy=events.CfnRule.RetryPolicyProperty(
                    maximum_event_age_in_seconds=LONGEST_DELIVERY, maximum_retry_attempts=MOST_DELIVERIES
                ),
                dead_letter_config=events.CfnRule.DeadLetterConfigProperty(arn=undelivered.queue.queue_arn),
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
    return str(rule.attr_arn)


def _add_to_scheduler(
    scope: Construct, task: str, index: int, schedule: Schedule, *, timezone: str, queue: sqs.Queue, timers: Timers
) -> None:
    message = _message(task, index, schedule, "<aws.scheduler.scheduled-time>")
    scheduler.CfnSchedule(
        scope,
        f"Schedule{index}",
        description=f"Task {task}, schedule {index}",
        group_name=timers.group,
        schedule_expression=schedule.aws_expression(),
        schedule_expression_timezone=timezone,
        state="ENABLED" if schedule.enabled else "DISABLED",
        flexible_time_window=scheduler.CfnSchedule.FlexibleTimeWindowProperty(mode="OFF"),
        target=scheduler.CfnSchedule.TargetProperty(
            arn=queue.queue_arn,
            role_arn=timers.roles[task].role_arn,
            input=_for_stack(_compact(message)),
            retry_policy=scheduler.CfnSchedule.RetryPolicyProperty(
                maximum_event_age_in_seconds=LONGEST_DELIVERY, maximum_retry_attempts=MOST_DELIVERIES
            ),
            dead_letter_config=scheduler.CfnSchedule.DeadLetterConfigProperty(arn=timers.undelivered.queue.queue_arn),
        ),
    ).node.add_dependency(timers)
