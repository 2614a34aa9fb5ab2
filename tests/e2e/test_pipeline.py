"""Jobs through the deployed stack."""

from __future__ import annotations

import json
import time
import uuid

import pytest

from offload import JobFailed, State
from offload.aws import sdk
from offload.core.manifest import dead_letter_name, queue_name
from offload.core.messages.waiting import timer_name
from offload.core.ports import OutgoingMessage

PATIENCE = 60


def ended(stack, job_id, timeout=PATIENCE):
    """Wait for a job whose record its worker may still have to create."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        item = stack.client.store.get(job_id)
        if item is not None and State(item["state"]).ended:
            return stack.client.job(job_id)
        time.sleep(0.2)
    pytest.fail(f"job {job_id} has not ended: {stack.client.store.get(job_id)}")


def send(stack, task, body):
    """Send a body to a task's queue with no help from the library."""
    url = sdk.client("sqs").get_queue_url(QueueName=queue_name("offload", task))["QueueUrl"]
    return sdk.client("sqs").send_message(QueueUrl=url, MessageBody=body)["MessageId"]


def dead(stack, task, body, timeout=PATIENCE):
    """Wait until a message with that body lies in the dead-letter queue, and take it."""
    queue = dead_letter_name("offload", task)
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        for message in stack.client.queues.receive(queue, limit=10, visibility=1, wait=1):
            if message.body == body:
                stack.client.queues.delete(queue, message.receipt)
                return message
    pytest.fail(f"no such message in {queue}")


def stamps(stack, job_id):
    found = sdk.client("s3").list_objects_v2(Bucket=stack.client.manifest.bucket, Prefix=f"stamps/{job_id}/")
    return [entry["Key"] for entry in found.get("Contents", [])]


def test_the_readmes_example_runs_without_any_other_edit(stack):
    job = stack.client.enqueue("greet", {"name": "Ada", "times": 2})
    assert job.result(timeout=PATIENCE) == "Hello Ada! Hello Ada! "
    record = job.record()
    assert (record.attempt, record.max_attempts) == (1, 3)
    assert record.progress is not None
    assert record.progress["stage"] == "greeting"
    assert [entry["state"] for entry in record.history] == ["PENDING", "RUNNING", "SUCCEEDED"]
    assert record.usage is not None
    assert record.usage["memory_mb"] > 10


def test_a_bare_message_makes_a_job_of_its_message_id(stack):
    message_id = send(stack, "greet", '{"payload": {"name": "Bare"}}')
    ended(stack, message_id)
    shown = stack.offload("jobs", "show", message_id, "--json")
    assert shown.returncode == 0, shown.stderr
    record = json.loads(shown.stdout)
    assert (record["state"], record["result"], record["task"]) == ("SUCCEEDED", "Hello Bare! ", "greet")


def test_a_job_retries_and_then_succeeds(stack):
    job = stack.client.enqueue("flaky", {"failures": 2})
    assert job.result(timeout=PATIENCE) == 3
    record = job.record()
    assert record.attempt == 3
    assert record.error is None
    states = [(entry["state"], entry["attempt"]) for entry in record.history]
    assert states == [
        ("PENDING", 0),
        ("RUNNING", 1),
        ("RETRYING", 1),
        ("RUNNING", 2),
        ("RETRYING", 2),
        ("RUNNING", 3),
        ("SUCCEEDED", 3),
    ]
    waits = [b["at"] - a["at"] for a, b in zip(record.history[2:], record.history[3:], strict=False)]
    assert waits[0] >= 900, "the second attempt must not start before its backoff of one second"


def test_a_permanent_error_reaches_the_dead_letter_queue_with_its_reason(stack):
    job = stack.client.enqueue("doomed", {"how": "permanent"})
    with pytest.raises(JobFailed, match="no such account: 42"):
        job.result(timeout=PATIENCE)
    record = job.record()
    assert record.attempt == 1
    assert record.error is not None
    assert record.error["type"] == "Permanent"
    assert "doomed/handler.py" in record.error["traceback"]
    deadline = time.monotonic() + PATIENCE
    rows = []
    while not rows and time.monotonic() < deadline:
        listed = stack.offload("dlq", "list", "doomed", "--json")
        assert listed.returncode == 0, listed.stderr
        rows = [row for row in json.loads(listed.stdout) if row["job_id"] == job.id]
    assert rows[0]["reason"] == "Permanent: no such account: 42"
    shown = stack.offload("dlq", "show", "doomed", job.id, "--json")
    assert json.loads(shown.stdout)["body"]["payload"] == {"how": "permanent"}


def test_exhausted_attempts_fail_with_the_last_error(stack):
    job = stack.client.enqueue("doomed", {"how": "value"})
    record = job.wait(timeout=PATIENCE)
    assert (record.state, record.attempt) == (State.FAILED, 2)
    assert record.error is not None
    assert (record.error["type"], record.error["attempt"]) == ("ValueError", 2)
    listed = json.loads(stack.offload("jobs", "list", "doomed", "--state", "FAILED", "--json").stdout)
    assert job.id in [row["id"] for row in listed]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("no json at all", "MessageError"),
        ('{"payload": {"name": 1, "nope": true}}', "PayloadError"),
        ('{"payload": {"name": "x"}, "task": "another"}', "UnknownTask"),
        ("[1, 2]", "MessageError"),
    ],
)
def test_a_poison_body_ends_in_the_dead_letter_queue_unchanged(stack, body, reason):
    message_id = send(stack, "greet", body)
    record = ended(stack, message_id)
    assert (record.state, record.attempt) == (State.FAILED, 0)
    assert record.error is not None
    assert record.error["type"] == reason
    assert dead(stack, "greet", body).message_id == message_id


def test_a_duplicate_delivery_runs_once(stack):
    job_id = str(uuid.uuid4())
    body = json.dumps({"id": job_id, "payload": {}})
    queue = queue_name("offload", "stamp")
    stack.client.queues.send_batch(queue, [OutgoingMessage(body), OutgoingMessage(body), OutgoingMessage(body)])
    ended(stack, job_id)
    send(stack, "stamp", body)
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        counts = stack.client.queues.counts(queue)
        if counts.visible == counts.in_flight == counts.delayed == 0:
            break
        time.sleep(0.3)
    else:
        pytest.fail(f"copies of an ended job were not acknowledged: {counts}")
    assert len(stamps(stack, job_id)) == 1
    assert stack.client.job(job_id).attempt == 1


def test_progress_is_seen_while_the_job_runs_and_a_large_result_comes_back(stack):
    job = stack.client.enqueue("stamp", {"seconds": 4, "size": 300_000})
    seen = set()
    while not (record := job.record()).state.ended:
        if record.progress:
            seen.add(record.progress["current"])
        time.sleep(0.2)
    assert len(seen) >= 2, "progress must be visible before the end"
    assert record.result is None
    assert record.result_ref is not None
    assert record.result_ref["key"].startswith("results/7d/stamp/")
    assert len(job.result(timeout=1)["padding"]) == 300_000


def test_a_schedules_tick_makes_one_job(stack):
    """The rule fires once a minute; its job has an id made from the schedule, the stack and the tick."""
    events = sdk.client("events")
    rules = [rule for rule in events.list_rules()["Rules"] if rule.get("ScheduleExpression") == "rate(1 minute)"]
    assert len(rules) == 1
    logged = []
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline and not logged:
        logged = [line for line in engine_log(stack) if '"service":"tick"' in line and "SUCCEEDED" in line]
        time.sleep(1)
    assert logged, "no tick ran within 100 s"
    job_id = json.loads(logged[0][logged[0].index("{") :])["job_id"]
    record = stack.client.job(job_id)
    assert (record.state, record.task, record.attempt) == (State.SUCCEEDED, "tick", 1)
    _, name, index, drawn, moment = job_id.split(":", 4)
    assert (name, index, moment[-1]) == ("tick", "0", "Z")
    assert str(uuid.UUID(drawn)) == drawn, "the part of the stack's id that is drawn"


def engine_log(stack):
    return stack.engine.layout.log.read_text(encoding="utf-8", errors="replace").splitlines()


def test_queues_are_listed_with_their_lengths(stack):
    listed = stack.offload("queues", "list", "--json")
    assert listed.returncode == 0, listed.stderr
    rows = {row["task"]: row for row in json.loads(listed.stdout)}
    assert set(rows) >= {"greet", "send_email", "cleanup_expired"}
    assert rows["send_email"]["queue"] == "offload-send_email"


def test_a_delayed_job_is_scheduled_and_can_be_cancelled(stack):
    job = stack.client.enqueue("stamp", {}, delay="5s")
    assert job.status() is State.SCHEDULED
    assert job.cancel().state is State.CANCELLED
    time.sleep(8)
    assert stamps(stack, job.id) == []
    assert job.status() is State.CANCELLED


def test_a_delay_beyond_fifteen_minutes_becomes_a_one_time_schedule(stack):
    job = stack.client.enqueue("stamp", {}, delay="2h")
    assert job.status() is State.SCHEDULED
    schedules = sdk.client("scheduler").list_schedules(GroupName=stack.client.manifest.timers["group"])["Schedules"]
    name = timer_name("stamp", job.id, job.record().next_at)
    assert [entry["Name"] for entry in schedules].count(name) == 1


def test_a_dead_letter_is_brought_back_with_fresh_attempts_and_its_history(stack):
    job = stack.client.enqueue("doomed", {"how": "permanent"})
    job.wait(timeout=PATIENCE)
    until(lambda: job.id in [row["job_id"] for row in listed(stack, "dlq", "list", "doomed")])
    done = stack.offload("dlq", "redrive", "doomed", "--id", job.id, "--json")
    assert done.returncode == 0, done.stderr
    assert [moved["job_id"] for moved in json.loads(done.stdout)["moved"]] == [job.id]
    until(lambda: job.record().redrives == 1 and job.status() is State.FAILED)
    record = job.record()
    assert record.attempt == 1
    states = [entry["state"] for entry in record.history]
    assert states == ["PENDING", "RUNNING", "FAILED", "RUNNING", "FAILED"]


def test_a_job_is_retried_by_hand_while_it_waits_and_after_it_failed(stack):
    job = stack.client.enqueue("doomed", {"how": "later"})
    until(lambda: job.status() is State.RETRYING)
    done = stack.offload("jobs", "retry", job.id, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert job.wait(timeout=PATIENCE).attempt == 2
    # Right after the failure: its message is still on its way to the dead-letter queue.
    assert job.retry().redrives == 1
    until(lambda: job.status() is State.RETRYING)
    states = [entry["state"] for entry in job.record().history]
    before, after = states[:5], states[5:]
    assert before == ["PENDING", "RUNNING", "RETRYING", "RUNNING", "FAILED"]
    assert after in (["PENDING", "RUNNING", "RETRYING"], ["RUNNING", "RETRYING"])  # the worker may be faster
    assert job.cancel().state is State.CANCELLED
    refused = stack.offload("jobs", "retry", job.id)
    assert refused.returncode == 2
    assert "is CANCELLED" in refused.stderr


def listed(stack, *arguments):
    shown = stack.offload(*arguments, "--json")
    assert shown.returncode == 0, shown.stderr
    return json.loads(shown.stdout)


def until(holds, timeout=PATIENCE):
    deadline = time.monotonic() + timeout
    while not holds():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.3)
