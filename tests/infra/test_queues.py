"""Every queue of every task."""

import pytest

from infra.alarms import longest_wait
from offload import Retry
from offload.core.messages.waiting import MAX_RECEIVES
from offload.core.ports import LONGEST_QUEUE_DELAY
from offload.core.retention import DAY, QUEUE_DAYS
from offload.core.tasks.settings import make_settings


@pytest.fixture(scope="module")
def queues(template):
    """The queues of the tasks, by name."""
    found = {item["QueueName"]: item for item in template.all("AWS::SQS::Queue").values()}
    del found["offload-Undelivered"]
    return found


def test_each_lane_has_its_queue_and_its_own_dead_letter_queue(queues, tasks):
    expected = {f"offload-{task}" for task in tasks} | {"offload-nightly-high"}
    assert set(queues) == expected | {f"{name}-dlq" for name in expected}


def test_messages_stay_hidden_for_six_timeouts(queues, template, tasks):
    for task in tasks:
        timeout = template.one("AWS::Lambda::Function", FunctionName=f"offload-{task}")["Timeout"]
        assert queues[f"offload-{task}"]["VisibilityTimeout"] >= 6 * timeout


def test_dead_letters_outlive_the_messages_of_their_queue(queues):
    for name in (name for name in queues if not name.endswith("-dlq")):
        kept, dead = queues[name]["MessageRetentionPeriod"], queues[f"{name}-dlq"]["MessageRetentionPeriod"]
        assert (kept, dead) == (7 * DAY, 14 * DAY)


def test_a_queue_redrives_to_its_own_dead_letter_queue_which_takes_from_it_alone(queues, template):
    for name in (name for name in queues if not name.endswith("-dlq")):
        dead = template.name_of("AWS::SQS::Queue", QueueName=f"{name}-dlq")
        policy = queues[name]["RedrivePolicy"]
        assert template.flat(policy["deadLetterTargetArn"]) == f"<{dead}.Arn>"
        allowed = queues[f"{name}-dlq"]["RedriveAllowPolicy"]
        assert allowed["redrivePermission"] == "byQueue"
        assert [template.flat(arn).rpartition(":")[2] for arn in allowed["sourceQueueArns"]] == [name]


def test_every_queue_has_the_same_receives_whatever_the_attempts_of_its_task(queues):
    sources = [queue for name, queue in queues.items() if not name.endswith("-dlq")]
    assert {queue["RedrivePolicy"]["maxReceiveCount"] for queue in sources} == {MAX_RECEIVES}
    assert MAX_RECEIVES == 4


def test_queues_are_encrypted_and_refuse_plain_connections(queues, template):
    assert all(queue["SqsManagedSseEnabled"] is True for queue in queues.values())
    guarded = set()
    for policy in template.all("AWS::SQS::QueuePolicy").values():
        for statement in policy["PolicyDocument"]["Statement"]:
            if statement["Effect"] == "Deny" and statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}:
                assert statement["Action"] == "sqs:*"
                guarded |= {template.flat(queue) for queue in policy["Queues"]}
    assert guarded == {f"<{name}>" for name in template.all("AWS::SQS::Queue")}


@pytest.mark.parametrize("timeout", ["1s", "5m", "15m"])
def test_the_alarm_for_the_oldest_job_rings_days_before_sqs_deletes_it(timeout):
    settings = make_settings({"timeout": timeout, "retry": Retry(max_attempts=100, cap="12h")})
    assert longest_wait(settings) <= (QUEUE_DAYS - 6) * DAY
    assert longest_wait(settings) >= 2 * LONGEST_QUEUE_DELAY  # and not for a message that is delayed
