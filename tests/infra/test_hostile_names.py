"""What each role must not reach: names that somebody can choose, next to the names that are meant."""

import re

import pytest

from offload.core.messages.waiting import timer_name
from offload.core.retention import PAYLOAD_DAYS, RESULT_DAYS
from tests.infra.iam import allows, matches

REGION = "<AWS::Region>:<AWS::AccountId>"
MAY_ENQUEUE = {"nightly": {"leaf", "alert"}}
ALL = {"alert"}
"""Tasks with `enqueues=("*",)`."""


@pytest.fixture(scope="module")
def bucket(template):
    return f"<{next(iter(template.all('AWS::S3::Bucket')))}.Arn>"


def strangers(task, tasks):
    """Return the tasks that a task has nothing to do with."""
    return [] if task in ALL else [other for other in tasks if other not in {task, *MAY_ENQUEUE.get(task, ())}]


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("results/*/leaf/*", "results/7d/other/leaf/lease.json", True),  # the slash that a `*` crosses
        ("results/7d/leaf/*", "results/7d/other/leaf/lease.json", False),
        ("a?c", "a/c", True),
        ("a.c", "abc", False),
        ("a*", "A1", False),
    ],
)
def test_patterns_match_as_iam_matches_them(pattern, text, expected):
    assert matches(pattern, text) is expected


def test_a_wildcard_stands_at_the_end_after_a_separator(template):
    """Anywhere else it would match more than one name: slashes, colons, or the rest of a longer name."""
    for role in template.all("AWS::IAM::Role").values():
        for policy in role["Policies"]:
            for statement in policy["PolicyDocument"]["Statement"]:
                resources = statement["Resource"]
                for resource in resources if isinstance(resources, list) else [resources]:
                    arn = template.flat(resource)
                    timers = r"arn:[^*?]+:schedule/offload/[a-z0-9_]+\.\*"  # no task's name holds a dot
                    assert re.fullmatch(rf"[^*?]+(?<=[/:])\*|[^*?]+|{timers}", arn), arn


def test_no_role_reads_or_writes_what_belongs_to_a_strangers_job(template, tasks, bucket):
    """A job's id may be any task's name, and whoever enqueues a job chooses it."""
    tried = 0
    for task in tasks:
        statements = template.statements(task)
        for stranger in strangers(task, tasks):
            for job in (task, *tasks, "job-1"):
                keys = [f"payloads/{days}d/{stranger}/{job}.json" for days in PAYLOAD_DAYS]
                keys += [f"results/{days}d/{stranger}/{job}/lease.json" for days in RESULT_DAYS]
                for key in keys:
                    for action in ("s3:GetObject", "s3:PutObject", "s3:DeleteObject"):
                        tried += 1
                        assert not allows(statements, action, f"{bucket}/{key}"), (task, action, key)
    assert tried > 1000


def test_a_role_reads_its_own_payloads_and_the_results_of_what_it_enqueues(template, bucket):
    nightly = template.statements("nightly")
    assert allows(nightly, "s3:GetObject", f"{bucket}/payloads/60d/nightly/job-1.json")
    for days in RESULT_DAYS:  # a handle of a job may be older than the deployment that changed `result_ttl`
        assert allows(nightly, "s3:GetObject", f"{bucket}/results/{days}d/leaf/job-1/lease.json")
        assert allows(nightly, "s3:GetObject", f"{bucket}/results/{days}d/nightly/job-1/lease.json")
    assert not allows(nightly, "s3:GetObject", f"{bucket}/payloads/60d/leaf/job-1.json")
    assert not allows(nightly, "s3:PutObject", f"{bucket}/results/7d/leaf/job-1/lease.json")
    assert allows(template.statements("alert"), "s3:GetObject", f"{bucket}/results/366d/leaf/job-1/lease.json")


def test_nobody_deletes_what_the_library_keeps(template, tasks, bucket):
    for task in tasks:
        for key in ("payloads/60d/leaf/job-1.json", "results/7d/leaf/job-1/lease.json", "uploads/exports/a", "exports"):
            assert not allows(template.statements(task), "s3:DeleteObject", f"{bucket}/{key}")
    cleaning = template.statements("cleanup_expired")
    assert allows(cleaning, "s3:DeleteObject", f"{bucket}/exports/a/b.csv")
    assert allows(cleaning, "s3:ListBucket", bucket, s3__prefix="exports/a")
    assert not allows(cleaning, "s3:ListBucket", bucket, s3__prefix="uploads/")
    assert not allows(cleaning, "s3:ListBucket", bucket)


def test_queues_with_longer_names_and_dead_letter_queues_are_out_of_reach(template, tasks):
    queue = f"arn:<AWS::Partition>:sqs:{REGION}:offload-"
    for task in tasks:
        statements = template.statements(task)
        names = [f"{task}-dlq", f"{task}2", f"{task}-low", "Undelivered", *strangers(task, tasks)]
        for name in names:
            for action in ("sqs:SendMessage", "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:PurgeQueue"):
                assert not allows(statements, action, queue + name), (task, action, name)
        assert allows(statements, "sqs:SendMessage", queue + task)


def test_logs_schedules_and_parameters_of_others_are_out_of_reach(template, tasks):
    logs, groups = (
        f"arn:<AWS::Partition>:logs:{REGION}:log-group:",
        f"arn:<AWS::Partition>:scheduler:{REGION}:schedule/",
    )
    parameters = f"arn:<AWS::Partition>:ssm:{REGION}:parameter/offload/"
    for task in tasks:
        statements = template.statements(task)
        own = f"/aws/lambda/offload-{task}"
        assert allows(statements, "logs:PutLogEvents", f"{logs}{own}:log-stream:2026/11/21/[$LATEST]0")
        for group in (f"{own}2", "/aws/lambda/offload-other", f"/other{own}"):
            assert not allows(statements, "logs:PutLogEvents", f"{logs}{group}:log-stream:{own}:log-stream:x")
        for group in ("offload-2", "offloads", "default"):
            assert not allows(statements, "scheduler:CreateSchedule", f"{groups}{group}/{timer_name(task, 'job', 1)}")
        for name in ("offload/manifest", "offload-2/webhooks/example.org", "offload/manifest/webhooks/x"):
            assert not allows(statements, "ssm:GetParameter", parameters + name)


def test_a_role_sets_timers_in_the_names_of_its_targets_alone(template, tasks):
    for task in tasks:
        targets = {*tasks}.difference(strangers(task, tasks))
        for other in (*tasks, f"{task}2", f"{task}_"):
            name = f"arn:<AWS::Partition>:scheduler:{REGION}:schedule/offload/{timer_name(other, 'job', 1)}"
            allowed = allows(template.statements(task), "scheduler:CreateSchedule", name)
            assert allowed is (other in targets or task in ALL), (task, other)


def test_a_role_passes_the_timer_roles_of_its_targets_to_the_scheduler_alone(template, tasks):
    roles = template.all("AWS::IAM::Role")
    timer_roles = {
        f"<{name}.Arn>": {
            template.flat(arn) for arn in role["Policies"][0]["PolicyDocument"]["Statement"][0]["Resource"]
        }
        for name, role in roles.items()
        if role["Description"].startswith("EventBridge Scheduler")
    }
    assert len(timer_roles) == len(tasks) + 1
    for task in tasks:
        statements = template.statements(task)
        for arn, queues in timer_roles.items():
            passed = allows(statements, "iam:PassRole", arn, iam__PassedToService="scheduler.amazonaws.com")
            assert not allows(statements, "iam:PassRole", arn, iam__PassedToService="lambda.amazonaws.com")
            assert not allows(statements, "iam:PassRole", arn)
            reached = {queue for queue in queues if not queue.startswith("<")}  # without the queue for the undelivered
            if passed:  # whoever may set a timer with a role can send wherever the role can
                assert all(allows(statements, "sqs:SendMessage", queue) for queue in reached), (task, arn)
