"""The role of each function: it allows exactly the calls of the worker and its task, on their own resources."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import aws_cdk as cdk
from aws_cdk import aws_iam as iam

from infra import nag, role_size
from offload.core.retention import payload_folders, result_folder, result_folders

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from constructs import Construct

    from offload.core.tasks.permissions import Allow
    from offload.core.tasks.settings import Settings


@dataclass(frozen=True, slots=True)
class SharedResources:
    """The resources that all functions of the stack share.

    Attributes:
        table: ARN of the job table.
        bucket: ARN of the bucket for payloads and results.
        timers: What the ARNs of one-time schedules begin with.
        stack: Name of the stack.
        partition: AWS partition.
        region: AWS region.
        account: AWS account id.
    """

    table: str
    bucket: str
    timers: str
    stack: str
    partition: str
    region: str
    account: str

    def fill(self, text: str) -> str:
        """Replace the placeholders `{bucket}`, `{table}`, `{stack}`, `{partition}`, `{region}` and `{account}`."""
        for name in ("bucket", "table", "stack", "partition", "region", "account"):
            text = text.replace(f"{{{name}}}", getattr(self, name))
        return text


@dataclass(frozen=True, slots=True)
class TaskResources:
    """The resources that one task's function uses, apart from those it shares.

    Attributes:
        task: Name of the task.
        settings: Settings of the task.
        own_queues: ARNs of the task's queues.
        other_queues: ARNs of the other queues that the function may send to.
        enqueues: Names of the tasks that the function may enqueue; `("*",)` stands for all.
        log_group: ARN of the function's log group, without `:*` at its end.
        timer_roles: ARNs of the roles that the function may give to one-time schedules.
    """

    task: str
    settings: Settings
    own_queues: Sequence[str]
    other_queues: Sequence[str]
    enqueues: Sequence[str]
    log_group: str
    timer_roles: Sequence[str]


def function_role(scope: Construct, id: str, own: TaskResources, shared: SharedResources) -> iam.Role:  # noqa: A002 - CDK's name
    """Create the role of a task's function.

    The role does not use AWS's managed policy for Lambda, which allows writing to every log group of the account.

    Raises:
        DefinitionError: The role's policies are longer than IAM allows.
    """
    worker_statements = [*_for_worker(own, shared), *_for_producer(own, shared)]
    task_statements = [_statement(allow, shared.fill) for allow in own.settings.allow]
    policies = {"worker": iam.PolicyDocument(statements=worker_statements)}
    if task_statements:
        policies["task"] = iam.PolicyDocument(statements=task_statements)
    stack = cdk.Stack.of(scope)
    bucket = stack.resolve(shared.bucket)["Fn::GetAtt"][0]
    names = {bucket: "arn:aws-us-gov:s3:::"}  # most of what a role names lies in the bucket
    role_size.check(own.task, shared.stack, [stack.resolve(policy) for policy in policies.values()], names)
    role = iam.Role(
        scope,
        id,
        description=f"Function of task {own.task}",
        assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
        inline_policies=policies,
    )
    for statement in worker_statements:
        reason = "Each job has its own object, log stream or schedule, in a folder or group of this stack"
        nag.acknowledge_wildcards(role, statement.resources, reason)
    for statement in task_statements:
        reason = f"Task {own.task} asks for it with `allow` in its settings"
        nag.acknowledge_wildcards(role, statement.resources, reason)
        nag.acknowledge_wildcards(role, statement.actions, reason, kind="Action")
    return role


def _for_worker(own: TaskResources, shared: SharedResources) -> list[iam.PolicyStatement]:
    payloads = [f"{shared.bucket}/{folder}*" for folder in payload_folders(own.task)]
    stored_in = f"{shared.bucket}/{result_folder(own.task, own.settings.result_life)}*"
    results = [f"{shared.bucket}/{folder}*" for folder in result_folders(own.task)]
    return [
        _allow(["logs:CreateLogStream", "logs:PutLogEvents"], [f"{own.log_group}:log-stream:*"]),
        # The event source mapping receives, deletes and reads attributes with this role. The worker itself changes the
        # visibility of messages, and sends a copy of a message that waits or has nearly used up its receives.
        _allow(
            [
                "sqs:ReceiveMessage",
                "sqs:DeleteMessage",
                "sqs:GetQueueAttributes",
                "sqs:ChangeMessageVisibility",
                "sqs:SendMessage",
            ],
            own.own_queues,
        ),
        _allow(["dynamodb:GetItem", "dynamodb:UpdateItem"], [shared.table]),
        # A worker writes a payload again that has grown old: see `core/retention.py`.
        _allow(["s3:GetObject", "s3:PutObject"], payloads),
        _allow(["s3:PutObject"], [stored_in]),
        # A follow-up is given the whole result, also one that was stored before `result_ttl` changed.
        *([_allow(["s3:GetObject"], results)] if own.settings.on_success else []),
        # A message that waits for more than 15 minutes is sent by a timer.
        _allow(["scheduler:CreateSchedule"], _timers(own, shared)),
        _allow(["iam:PassRole"], own.timer_roles, {"StringEquals": {"iam:PassedToService": "scheduler.amazonaws.com"}}),
    ]


def _for_producer(own: TaskResources, shared: SharedResources) -> list[iam.PolicyStatement]:
    if not own.enqueues:
        return []
    named = [folder for task in own.enqueues for folder in payload_folders(task)]
    folders = ["payloads/"] if "*" in own.enqueues else named
    statements = [_allow(["s3:PutObject"], [f"{shared.bucket}/{folder}*" for folder in folders])]
    if own.other_queues:
        statements.append(_allow(["sqs:SendMessage"], own.other_queues))
    if own.settings.enqueues:
        # Results of other jobs are read by handles in the task's own code. Nobody waits for the result of a follow-up.
        reads = own.settings.enqueues
        folders = ["results/"] if "*" in reads else [folder for task in reads for folder in result_folders(task)]
        results = [f"{shared.bucket}/{folder}*" for folder in folders]
        statements += [
            _allow(["s3:GetObject"], results),
            # `async` code waits for many jobs with one request; the records of many jobs are written as statements.
            _allow(["dynamodb:BatchGetItem", "dynamodb:PartiQLInsert", "dynamodb:PartiQLUpdate"], [shared.table]),
        ]
    return statements


def _timers(own: TaskResources, shared: SharedResources) -> list[str]:
    """Return patterns for the timers of the tasks that the function sends to; see `timer_name`."""
    if "*" in own.enqueues:
        return [f"{shared.timers}*"]
    return [f"{shared.timers}{task}.*" for task in sorted({own.task, *own.enqueues})]


def _allow(
    actions: Sequence[str], resources: Sequence[str], conditions: dict[str, object] | None = None
) -> iam.PolicyStatement:
    return iam.PolicyStatement(actions=list(actions), resources=list(resources), conditions=conditions)


def _statement(allow: Allow, fill: Callable[[str], str]) -> iam.PolicyStatement:
    return _allow(allow.actions, [fill(resource) for resource in allow.resources], _filled(allow.conditions, fill))


def _filled(conditions: dict[str, dict[str, object]] | None, fill: Callable[[str], str]) -> dict[str, object] | None:
    if conditions is None:
        return None

    def filled(value: object) -> object:
        if isinstance(value, str):
            return fill(value)
        return [filled(item) for item in value] if isinstance(value, list | tuple) else value

    return {operator: {key: filled(value) for key, value in keys.items()} for operator, keys in conditions.items()}
