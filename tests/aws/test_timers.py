from __future__ import annotations

import json
from dataclasses import replace

import pytest

from offload.aws.calls import Rejected
from offload.aws.timers import SchedulerTimers
from offload.core.manifest import Manifest


def manifest(region="eu-north-1"):
    return Manifest("offload", "123456789012", region, "jobs", "blobs", {}, {"group": "g", "role": "arn:role"})


def test_a_timer_is_a_one_time_schedule_in_utc_that_deletes_itself():
    asked = []
    timers = SchedulerTimers(manifest(), lambda operation, params: asked.append((operation, params)) or {})
    timers.send_at("job-1", "offload-email", '{"payload": {}}', 1_767_225_600_001)
    assert asked == [
        (
            "CreateSchedule",
            {
                "Name": "job-1",
                "GroupName": "g",
                "ScheduleExpression": "at(2026-01-01T00:00:01)",  # a millisecond over is a second later, never earlier
                "ScheduleExpressionTimezone": "UTC",
                "FlexibleTimeWindow": {"Mode": "OFF"},
                "ActionAfterCompletion": "DELETE",
                "Target": {
                    "Arn": "arn:aws:sqs:eu-north-1:123456789012:offload-email",
                    "RoleArn": "arn:role",
                    "Input": '{"payload": {}}',
                    "RetryPolicy": {"MaximumEventAgeInSeconds": 86_400, "MaximumRetryAttempts": 185},
                    "DeadLetterConfig": {"Arn": "arn:aws:sqs:eu-north-1:123456789012:offload-Undelivered"},
                },
            },
        )
    ]
    SchedulerTimers(manifest("cn-north-1"), lambda operation, params: asked.append((operation, params)) or {}).send_at(
        "job-1", "q", "{}", 1_767_225_600_000
    )
    assert asked[-1][1]["ScheduleExpression"] == "at(2026-01-01T00:00:00)"
    assert asked[-1][1]["Target"]["Arn"] == "arn:aws-cn:sqs:cn-north-1:123456789012:q"


@pytest.mark.parametrize(
    ("queue", "role"), [("offload-a", "arn:a"), ("offload-a-high", "arn:a"), ("offload-b", "arn:b")]
)
def test_a_functions_timer_has_the_role_of_the_task_that_is_sent_to(queue, role):
    asked = []
    known = replace(manifest(), timers={"group": "g", "roles": {"a": "arn:a", "b": "arn:b"}})
    SchedulerTimers(known, lambda operation, params: asked.append(params) or {}).send_at("job-1", queue, "{}", 0)
    assert asked[0]["Target"]["RoleArn"] == role


@pytest.mark.parametrize(("code", "raised"), [("ConflictException", False), ("AccessDeniedException", True)])
def test_a_name_that_exists_is_fine_and_any_other_trouble_is_told(code, raised):
    def call(operation, params):
        raise Rejected("no", code)

    timers = SchedulerTimers(manifest(), call)
    if raised:
        with pytest.raises(Rejected):
            timers.send_at("a", "q", "{}", 0)
    else:
        timers.send_at("a", "q", "{}", 0)


@pytest.mark.parametrize(
    "text",
    [
        "See <aws.scheduler.schedule-arn> and <aws.scheduler.execution-id>",
        "<<aws.scheduler.scheduled-time>><aws.scheduler.attempt-number>",
        "a < b, <b>, \\u003c, <aws",
    ],
)
def test_scheduler_finds_nothing_to_fill_in_and_the_message_stays_what_it_was(text):
    asked = []
    body = json.dumps({"payload": {"text": text}})
    SchedulerTimers(manifest(), lambda operation, params: asked.append(params) or {}).send_at("job-1", "q", body, 0)
    given = asked[0]["Target"]["Input"]
    assert "<aws.scheduler." not in given
    assert json.loads(given) == {"payload": {"text": text}}
