"""Least privilege: what each role may do, and nothing else."""

import pytest

from offload.core.manifest import Manifest

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


def test_a_timer_of_a_task_sends_where_the_task_itself_may_send(template, tasks):
    roles = template.all("AWS::IAM::Role")
    for task in tasks:
        ((arn,), passed) = next(
            (arns, condition) for actions, arns, condition in template.statements(task) if "iam:PassRole" in actions
        )
        assert passed == {"StringEquals": {"iam:PassedToService": "scheduler.amazonaws.com"}}
        role = roles[arn.strip("<>").removesuffix(".Arn")]
        (policy,) = role["Policies"]
        (statement,) = policy["PolicyDocument"]["Statement"]
        assert statement["Action"] == "sqs:SendMessage"
        sends = statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
        assert {template.flat(send) for send in sends} == granted(template, task, "sqs:SendMessage")
        (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
        assert trust["Principal"] == {"Service": "scheduler.amazonaws.com"}
        assert set(trust["Condition"]) == {"StringEquals", "ArnEquals"}
        variables = template.one("AWS::Lambda::Function", FunctionName=f"offload-{task}")["Environment"]["Variables"]
        assert Manifest.load(template.flat(variables["OFFLOAD_MANIFEST"])).timers["role"] == arn


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
    assert read == {f"{bucket}/results/7d/nightly/*"}
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


def test_the_scheduler_may_send_to_task_queues_for_this_group_alone(template, tasks):
    roles = [role for role in template.all("AWS::IAM::Role").values() if "EventBridge Scheduler" in role["Description"]]
    (statement,) = roles[0]["AssumeRolePolicyDocument"]["Statement"]
    (group,) = template.all("AWS::Scheduler::ScheduleGroup")
    assert statement["Principal"] == {"Service": "scheduler.amazonaws.com"}
    assert template.flat(statement["Condition"]["StringEquals"]["aws:SourceAccount"]) == "<AWS::AccountId>"
    assert template.flat(statement["Condition"]["ArnEquals"]["aws:SourceArn"]) == f"<{group}.Arn>"
    (policy,) = roles[0]["Policies"]
    (allowed,) = policy["PolicyDocument"]["Statement"]
    assert allowed["Action"] == "sqs:SendMessage"
    queues = {queue(f"offload-{task}") for task in tasks} | {queue("offload-nightly-high")}
    assert {template.flat(arn) for arn in allowed["Resource"]} == queues
