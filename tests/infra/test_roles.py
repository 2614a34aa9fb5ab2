"""Least privilege: what each role may do, and nothing else."""

import pytest

from offload.core.manifest import Manifest
from offload.core.retention import RESULT_DAYS

WORKER = {
    "logs:CreateLogStream",
    "logs:PutLogEvents",
    "sqs:ReceiveMessage",
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
    "sqs:ChangeMessageVisibility",
    "sqs:SendMessage",
    "dynamodb:GetItem",
    "dynamodb:UpdateItem",
    "s3:GetObject",
    "s3:PutObject",
    "scheduler:CreateSchedule",
    "iam:PassRole",
}
PRODUCER = {"dynamodb:BatchGetItem", "dynamodb:PartiQLInsert", "dynamodb:PartiQLUpdate"}


@pytest.fixture(scope="module")
def bucket(template):
    return f"<{next(iter(template.all('AWS::S3::Bucket')))}.Arn>"


@pytest.fixture(scope="module")
def table(template):
    return f"<{next(iter(template.all('AWS::DynamoDB::Table')))}.Arn>"


def granted(template, task, action):
    return {arn for actions, arns, _ in template.statements(task) if action in actions for arn in arns}


def timer_roles(template):
    roles = template.all("AWS::IAM::Role")
    return {name: role for name, role in roles.items() if role["Description"].startswith("EventBridge Scheduler")}


def timer_role(template, whom):
    description = f"EventBridge Scheduler sends jobs of {whom}, stack offload"
    return f"<{template.name_of('AWS::IAM::Role', Description=description)}.Arn>"


def sends_to(template, whom):
    role = timer_roles(template)[timer_role(template, whom).strip("<>").removesuffix(".Arn")]
    (policy,) = role["Policies"]
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert statement["Action"] == "sqs:SendMessage"
    return {template.flat(arn) for arn in statement["Resource"]}


def queue(name):
    return f"arn:<AWS::Partition>:sqs:<AWS::Region>:<AWS::AccountId>:{name}"


def test_no_role_reaches_everything(template, tasks):
    for task in tasks:
        for actions, arns, _ in template.statements(task):
            assert "*" not in arns, task
            assert not any("*" in action for action in actions), task


def test_no_role_takes_a_managed_policy(template):
    assert not [role for role in template.all("AWS::IAM::Role").values() if role.get("ManagedPolicyArns")]
    assert not template.all("AWS::IAM::Policy")


def test_a_plain_task_holds_what_the_worker_calls(template):
    assert {action for actions, _, _ in template.statements("leaf") for action in actions} == WORKER


def test_a_task_that_enqueues_calls_nothing_else_but_what_it_asks_for(template):
    actions = {action for actions, _, _ in template.statements("nightly") for action in actions}
    assert actions == WORKER | PRODUCER | {"dynamodb:Scan"}


def test_a_function_passes_the_timer_roles_of_the_tasks_it_sends_to(template, tasks):
    def passed(task):
        found = [
            (arns, condition) for actions, arns, condition in template.statements(task) if "iam:PassRole" in actions
        ]
        ((arns, condition),) = found
        assert condition == {"StringEquals": {"iam:PassedToService": "scheduler.amazonaws.com"}}
        return arns

    def known(task):
        variables = template.one("AWS::Lambda::Function", FunctionName=f"offload-{task}")["Environment"]["Variables"]
        return Manifest.load(template.flat(variables["OFFLOAD_MANIFEST"])).timers

    for task in tasks:
        if task not in {"nightly", "alert"}:
            assert known(task)["roles"] == {task: timer_role(template, f"task {task}")}
            assert passed(task) == {timer_role(template, f"task {task}")}
    roles = {task: timer_role(template, f"task {task}") for task in ("alert", "leaf", "nightly")}
    assert known("nightly")["roles"] == roles
    assert passed("nightly") == set(roles.values())
    # A task that may enqueue any other gets no further with the role of the whole stack.
    assert known("alert") == {"group": "offload", "role": timer_role(template, "any task")}
    assert passed("alert") == {timer_role(template, "any task")}


def test_a_timer_role_sends_to_one_task_and_to_the_queue_for_the_undelivered(template, tasks):
    undelivered = f"<{template.name_of('AWS::SQS::Queue', QueueName='offload-Undelivered')}.Arn>"
    for task in tasks:
        own = {queue(f"offload-{task}")} | ({queue("offload-nightly-high")} if task == "nightly" else set())
        assert sends_to(template, f"task {task}") == own | {undelivered}
    everything = {queue(f"offload-{task}") for task in tasks} | {queue("offload-nightly-high"), undelivered}
    assert sends_to(template, "any task") == everything


def test_a_timer_role_serves_the_schedules_of_this_stack_alone(template):
    (group,) = template.all("AWS::Scheduler::ScheduleGroup")
    for role in timer_roles(template).values():
        (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
        assert statement["Principal"] == {"Service": "scheduler.amazonaws.com"}
        assert template.flat(statement["Condition"]["StringEquals"]["aws:SourceAccount"]) == "<AWS::AccountId>"
        assert template.flat(statement["Condition"]["ArnEquals"]["aws:SourceArn"]) == f"<{group}.Arn>"


def test_a_timer_that_waits_keeps_its_role_when_its_sender_or_its_task_goes(template, tasks):
    """The role of a target does not depend on who sends; in production it even waits for the task to come again."""
    for name, role in timer_roles(template).items():
        kept = template.resources[name].get("DeletionPolicy")
        assert kept == (None if "any task" in role["Description"] else "RetainExceptOnCreate")
        assert "RoleName" not in role, "a retained role with a fixed name could not be made again"


def test_a_task_sends_to_its_own_queues_and_those_it_declares(template):
    own = {queue("offload-nightly"), queue("offload-nightly-high")}
    assert granted(template, "nightly", "sqs:ReceiveMessage") == own
    assert granted(template, "nightly", "sqs:SendMessage") == own | {queue("offload-leaf"), queue("offload-alert")}
    assert granted(template, "leaf", "sqs:SendMessage") == {queue("offload-leaf")}


def test_a_task_that_may_enqueue_any_sends_to_all_but_no_dead_letter_queue(template, tasks):
    sent = granted(template, "alert", "sqs:SendMessage")
    assert sent == {queue(f"offload-{task}") for task in tasks} | {queue("offload-nightly-high")}


def test_objects_are_reached_by_folder(template, bucket):
    def payloads(task):
        return {f"{bucket}/payloads/60d/{task}/*", f"{bucket}/payloads/425d/{task}/*"}

    assert granted(template, "leaf", "s3:GetObject") == payloads("leaf")
    assert granted(template, "leaf", "s3:PutObject") == {f"{bucket}/results/7d/leaf/*"} | payloads("leaf")
    assert granted(template, "nightly", "s3:PutObject") == {
        f"{bucket}/results/7d/nightly/*",  # results of 36 hours
        *payloads("nightly"),
        *payloads("leaf"),
        *payloads("alert"),
    }


def test_a_task_with_a_follow_up_reads_its_own_results_and_no_other_tasks(template, bucket):
    read = {arn for arn in granted(template, "nightly", "s3:GetObject") if "/results/" in arn and "nightly" in arn}
    assert read == {f"{bucket}/results/{days}d/nightly/*" for days in RESULT_DAYS}
    assert not [arn for arn in granted(template, "leaf", "s3:GetObject") if "/results/" in arn]


def test_the_table_is_reached_by_key_alone(template, tasks, table):
    for task in tasks:
        assert granted(template, task, "dynamodb:UpdateItem") == {table}
        assert not granted(template, task, "dynamodb:Query")


def test_allow_is_filled_in(template, bucket, table):
    assert f"{bucket}/reports/*" in granted(template, "nightly", "s3:GetObject")
    assert granted(template, "nightly", "dynamodb:Scan") == {table}


def test_logs_go_to_the_functions_own_group(template, tasks):
    for task in tasks:
        (arn,) = granted(template, task, "logs:PutLogEvents")
        assert arn.endswith(f":log-group:/aws/lambda/offload-{task}:log-stream:*")
