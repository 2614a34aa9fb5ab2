"""What each function may call: exactly what the worker and its task call, on exactly their resources."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aws_cdk import aws_iam as iam

from infra import nag
from infra.job_table import days_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from constructs import Construct

    from offload.core.settings import Allow, Settings


@dataclass(frozen=True, slots=True)
class Surroundings:
    """ARNs of what the functions share.

    Attributes:
        table: Job table.
        bucket: Bucket for payloads and results.
        timer_role: Role of the one-time schedules.
        timers: Pattern of the one-time schedules.
        partition: AWS partition.
        region: AWS region.
        account: AWS account id.
    """

    table: str
    bucket: str
    timer_role: str
    timers: str
    partition: str
    region: str
    account: str

    def fill(self, text: str) -> str:
        """Put this stack's ARNs and ids in the place of `{bucket}`, `{table}` and their kin."""
        for name in ("bucket", "table", "partition", "region", "account"):
            text = text.replace(f"{{{name}}}", getattr(self, name))
        return text


@dataclass(frozen=True, slots=True)
class Reach:
    """What one task's function touches.

    Attributes:
        task: Its name.
        settings: Its settings.
        own: ARNs of its queues.
        others: ARNs of the queues it may send to.
        targets: Names of the tasks it may enqueue; `("*",)` stands for all.
        logs: ARN of its log group, without a `:*`.
    """

    task: str
    settings: Settings
    own: Sequence[str]
    others: Sequence[str]
    targets: Sequence[str]
    logs: str


def function_role(scope: Construct, id: str, reach: Reach, around: Surroundings) -> iam.Role:  # noqa: A002 - CDK's name
    """Create the role of a task's function.

    Not AWS's managed policy for Lambda: that one may write to every log group of the account.
    """
    own = [*_worker(reach, around), *_producer(reach, around)]
    asked = [_statement(allow, around.fill) for allow in reach.settings.allow]
    policies = {"worker": iam.PolicyDocument(statements=own)}
    if asked:
        policies["task"] = iam.PolicyDocument(statements=asked)
    role = iam.Role(
        scope,
        id,
        description=f"Function of task {reach.task}",
        assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
        inline_policies=policies,
    )
    for statement in own:
        reason = "One object, log stream or schedule a job, in a folder or group that is this stack's own"
        nag.explain_wildcards(role, statement.resources, reason)
    for statement in asked:
        reason = f"Task {reach.task} asks for it in its settings' `allow`"
        nag.explain_wildcards(role, statement.resources, reason)
        nag.explain_wildcards(role, statement.actions, reason, kind="Action")
    return role


def _worker(reach: Reach, around: Surroundings) -> list[iam.PolicyStatement]:
    # A large result's folder names its life, by which the bucket's lifecycle finds it.
    results = f"{around.bucket}/results/{days_of(reach.settings)}d/{reach.task}/*"
    return [
        _allow(["logs:CreateLogStream", "logs:PutLogEvents"], [f"{reach.logs}:log-stream:*"]),
        # Receive, delete and attributes are the event source mapping's; the worker changes visibility, and sends
        # a message anew that comes near the limit of receives.
        _allow(
            [
                "sqs:ReceiveMessage",
                "sqs:DeleteMessage",
                "sqs:GetQueueAttributes",
                "sqs:ChangeMessageVisibility",
                "sqs:SendMessage",
            ],
            reach.own,
        ),
        _allow(["dynamodb:GetItem", "dynamodb:UpdateItem"], [around.table]),
        _allow(["s3:GetObject"], [f"{around.bucket}/payloads/{reach.task}/*"]),
        _allow(["s3:PutObject"], [results]),
    ]


def _producer(reach: Reach, around: Surroundings) -> list[iam.PolicyStatement]:
    if not reach.targets:
        return []
    folders = [f"{around.bucket}/payloads/{target}{'/*' if target != '*' else ''}" for target in reach.targets]
    statements = [_allow(["s3:PutObject"], folders)]
    if reach.others:
        statements.append(_allow(["sqs:SendMessage"], reach.others))
    if reach.settings.enqueues:
        # Follow-ups leave at once; only a task's own code asks for delays that need a timer, or reads others' results.
        read = [name for name in reach.settings.enqueues if name != "*"]
        results = [f"{around.bucket}/results/*/{name}/*" for name in read] or [f"{around.bucket}/results/*"]
        statements += [
            _allow(["s3:GetObject"], results),
            _allow(["scheduler:CreateSchedule"], [around.timers]),
            _allow(
                ["iam:PassRole"],
                [around.timer_role],
                {"StringEquals": {"iam:PassedToService": "scheduler.amazonaws.com"}},
            ),
        ]
    return statements


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

    return {test: {key: filled(value) for key, value in keys.items()} for test, keys in conditions.items()}
