"""Static schedules: what they send is a message of the contract with an id that follows from the tick."""

import json

import pytest

from offload.core.messages.message import Message
from tests.infra.iam import listed

TICK = "2026-11-21T02:00:00Z"
DRAWN = "2b0d1f3e-1111-2222-3333-0123456789ab"
"""The part of a stack's id that CloudFormation draws: `arn:aws:cloudformation:REGION:ACCOUNT:stack/NAME/DRAWN`."""


def deployed(template, text):
    """Return a text as CloudFormation deploys it."""
    return template.flat(text).replace("<AWS::StackId/2>", DRAWN)


def rules(template):
    return {
        item["Description"]: item
        for item in template.all("AWS::Events::Rule").values()
        if item["Description"].startswith("Task nightly")
    }


def sent(template, rule):
    """Render a target's input as EventBridge does: `<name>` is replaced by the event's value."""
    (target,) = rule["Targets"]
    transformer = target["InputTransformer"]
    assert transformer["InputPathsMap"] == {"time": "$.time"}
    text = deployed(template, transformer["InputTemplate"])
    assert len(text) <= 8192
    return text.replace("<time>", TICK)


def test_utc_schedules_are_rules(template):
    rule = rules(template)["Task nightly, schedule 0"]
    assert (rule["ScheduleExpression"], rule["State"]) == ("rate(5 minutes)", "ENABLED")
    message = Message.decode(sent(template, rule))
    assert message.payload == {"name": "Åse & Bø's"}
    assert message.id == f"cron:nightly:0:{DRAWN}:{TICK}"
    assert message.task == "nightly"
    assert message.enqueued_at == 1_795_226_400_000


def test_every_rule_sends_a_message_of_the_contract(template):
    for rule in template.all("AWS::Events::Rule").values():
        body = sent(template, rule)
        assert not set(body) & set("<>\\")  # they mean something in a rule's template
        assert isinstance(json.loads(body)["payload"], dict)
        assert Message.decode(body).id.endswith(f":{DRAWN}:{TICK}")


def test_rules_may_send_to_their_queue_and_only_they(template):
    queue = template.name_of("AWS::SQS::Queue", QueueName="offload-nightly")
    (rule,) = (name for name, item in template.all("AWS::Events::Rule").items() if item in rules(template).values())
    found = [
        statement
        for policy in template.all("AWS::SQS::QueuePolicy").values()
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Allow" and template.flat(statement["Resource"]) == f"<{queue}.Arn>"
    ]
    (statement,) = found
    assert statement["Principal"] == {"Service": "events.amazonaws.com"}
    assert template.flat(statement["Condition"]["ArnEquals"]["aws:SourceArn"]) == f"<{rule}.Arn>"


@pytest.mark.parametrize(
    ("index", "expression", "zone", "state", "payload"),
    [
        (1, "cron(0 2 * * ? *)", "UTC", "ENABLED", {"name": '<b>"bold" \\</b>'}),
        (2, "cron(0 3 ? * MON-FRI *)", "Europe/Oslo", "ENABLED", {}),
        (3, "cron(0 4 1 * ? *)", "UTC", "DISABLED", {"name": "<time>"}),
    ],
)
def test_zones_and_special_characters_make_scheduler_schedules(template, index, expression, zone, state, payload):
    schedule = template.one("AWS::Scheduler::Schedule", Description=f"Task nightly, schedule {index}")
    assert schedule["GroupName"] == "offload"
    assert (schedule["ScheduleExpression"], schedule["ScheduleExpressionTimezone"]) == (expression, zone)
    assert schedule["State"] == state
    text = deployed(template, schedule["Target"]["Input"])
    message = Message.decode(text.replace("<aws.scheduler.scheduled-time>", TICK))
    assert message.payload == payload
    assert message.id == f"cron:nightly:{index}:{DRAWN}:{TICK}"


def test_schedules_send_to_the_default_lane(template):
    queue = template.name_of("AWS::SQS::Queue", QueueName="offload-nightly")
    targets = [item["Target"]["Arn"] for item in template.all("AWS::Scheduler::Schedule").values()]
    targets += [item["Targets"][0]["Arn"] for item in rules(template).values()]
    assert {template.flat(arn) for arn in targets} == {f"<{queue}.Arn>"}


def test_the_id_of_a_tick_fits_for_the_longest_names():
    # A function's name has at most 64 characters: the stack's, a hyphen and the task's.
    assert len(f"cron:{'t' * 62}:99:{DRAWN}:{TICK}") <= 128


def test_what_no_schedule_can_deliver_is_kept_and_rings(template):
    name = template.name_of("AWS::SQS::Queue", QueueName="offload-Undelivered")
    targets = [item["Target"] for item in template.all("AWS::Scheduler::Schedule").values()]
    targets += [target for item in template.all("AWS::Events::Rule").values() for target in item["Targets"]]
    assert len(targets) >= 5
    for target in targets:
        assert template.flat(target["DeadLetterConfig"]["Arn"]) == f"<{name}.Arn>"
        assert target["RetryPolicy"] == {"MaximumEventAgeInSeconds": 86_400, "MaximumRetryAttempts": 185}
    queue = template.all("AWS::SQS::Queue")[name]
    assert queue["MessageRetentionPeriod"] == 14 * 86_400
    (alarm,) = (
        item
        for item in template.all("AWS::CloudWatch::Alarm").values()
        if [template.flat(each["Value"]) for each in item["Dimensions"]] == [f"<{name}.QueueName>"]
    )
    assert (alarm["MetricName"], alarm["Threshold"]) == ("ApproximateNumberOfMessagesVisible", 1)
    assert len(alarm["AlarmActions"]) == 1


def test_each_rule_may_send_what_it_could_not_deliver(template):
    name = template.name_of("AWS::SQS::Queue", QueueName="offload-Undelivered")
    (policy,) = (
        item
        for item in template.all("AWS::SQS::QueuePolicy").values()
        if [template.flat(queue) for queue in item["Queues"]] == [f"<{name}>"]
    )
    (statement,) = (each for each in policy["PolicyDocument"]["Statement"] if each["Effect"] == "Allow")
    assert statement["Principal"] == {"Service": "events.amazonaws.com"}
    senders = {template.flat(arn) for arn in listed(statement["Condition"]["ArnEquals"]["aws:SourceArn"])}
    assert senders == {f"<{rule}.Arn>" for rule in template.all("AWS::Events::Rule")}


def test_a_schedule_sends_with_the_role_of_its_own_task(template):
    description = "EventBridge Scheduler sends jobs of task nightly, stack offload"
    role = template.name_of("AWS::IAM::Role", Description=description)
    for item in template.all("AWS::Scheduler::Schedule").values():
        assert template.flat(item["Target"]["RoleArn"]) == f"<{role}.Arn>"
