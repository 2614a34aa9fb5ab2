"""The permissions of producers and operators in docs/security.md are what a client needs, no more and no less."""

from __future__ import annotations

import asyncio
import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

import pytest

from offload import Client, Retry, task
from offload.aws import items, sdk
from offload.core.clock import SystemClock
from offload.core.manifest import Manifest, pack_tasks
from offload.core.retention import RESULT_DAYS
from offload.operate.dead_letters import list_dead_letters, purge
from offload.operate.listing import list_jobs
from offload.operate.queues import list_queues
from offload.operate.redrive import Selection, redrive

PAGE = Path(__file__).parents[2] / "docs" / "security.md"
ACCOUNT, REGION = "123456789012", "eu-north-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/timers"
FILLED = {
    "PARTITION": "aws", "REGION": REGION, "ACCOUNT": ACCOUNT, "STACK": "blue", "TASK": "work", "LANE": "high",
    "TABLE": "jobs", "BUCKET": "blobs", "TIMER_ROLE": ROLE,
}  # fmt: skip
SIX_DAYS = 518_400_000


@task(priorities=("default", "high"), retry=Retry(max_attempts=1))
def work(name: str) -> str:
    return name


class Row(NamedTuple):
    """A row of the documented table."""

    use: str
    actions: frozenset[str]
    resources: tuple[str, ...]


class Called(NamedTuple):
    """A call that IAM judges."""

    action: str
    resource: str


def documented():
    text = PAGE.read_text()
    table = text.partition("<!-- permissions -->")[2].partition("\n\n")[0]
    rows = []
    for line in table.strip().splitlines()[2:]:
        use, allowed, on = (cell.strip() for cell in line.strip("|").split("|"))
        actions = frozenset(re.findall(r"`([a-z0-9]+:[A-Za-z]+)`", allowed))
        rows.append(Row(use, actions, tuple(_filled(pattern) for pattern in re.findall(r"`([^`]+)`", on))))
    return rows


def _filled(pattern):
    return re.sub("[A-Z_]{4,}", lambda found: FILLED[found[0]], pattern)


ROWS = documented()
USES = {row.use for row in ROWS}


class FakeAws:
    """Answers a client as AWS does, and notes which permission each request needs.

    Attributes:
        called: What IAM judges.
        record: The record of each job that is read.
    """

    def __init__(self):
        self.called = set()
        self.record = None
        self.letters = []
        signature = work.signature
        tasks = {"work": {"priorities": ["default", "high"], "schema": signature.schema()}}
        self.manifest = Manifest("blue", ACCOUNT, REGION, "jobs", "blobs", tasks, {"group": "blue", "role": ROLE})

    def caller(self, service, *_, **__):
        return getattr(self, f"_{service}")

    def _note(self, service, operation, resource):
        self.called.add(Called(f"{service}:{operation}", resource))

    def _ssm(self, operation, params):
        part = "/offload/blue/manifest/abc/0"
        for name in params.get("Names", [params.get("Name")]):
            self._note("ssm", operation, f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter{name}")
        if operation == "GetParameter":
            return {"Parameter": {"Value": self.manifest.dump([part])}}
        return {"Parameters": [{"Name": part, "Value": pack_tasks(self.manifest.tasks)}]}

    def _sqs(self, operation, params):
        queue = params.get("SourceArn", params.get("QueueUrl", "")).rpartition(":" if "SourceArn" in params else "/")[2]
        arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}"
        self._note("sqs", operation.removesuffix("Batch"), arn)
        if operation == "StartMessageMoveTask":
            # AWS asks the caller for what the move does.
            for implied in ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes"):
                self._note("sqs", implied, arn)
            self._note("sqs", "SendMessage", arn.removesuffix("-dlq"))
        answers = {
            "SendMessage": {"MessageId": "m"},
            "SendMessageBatch": {
                "Successful": [{"Id": each["Id"], "MessageId": "m"} for each in params.get("Entries", ())]
            },
            "ReceiveMessage": {"Messages": [self.letters.pop(0)] if self.letters else []},
            "GetQueueAttributes": {"Attributes": {}},
        }
        return answers.get(operation, {})

    def _dynamodb(self, operation, params):
        table = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/jobs"
        item = items.dump_map(self.record or {"id": "j", "task": "work", "state": "PENDING"})
        if operation == "BatchExecuteStatement":
            verbs = [each["Statement"].partition(" ")[0] for each in params["Statements"]]
            for verb in verbs:
                self._note("dynamodb", f"PartiQL{verb.title()}", table)
            return {"Responses": [{"Item": item} for _ in verbs]}
        self._note("dynamodb", operation, f"{table}/index/{params['IndexName']}" if "IndexName" in params else table)
        if operation == "GetItem":
            return {"Item": item} if self.record else {}
        if operation == "BatchGetItem":
            return {"Responses": {"jobs": [item] if self.record else []}}
        return {"Items": []} if operation == "Query" else {"Attributes": item}

    def _s3(self, operation, params):
        self._note("s3", operation, f"arn:aws:s3:::{params['Bucket']}/{params['Key']}")
        return {"Body": b'"large"'}

    def _scheduler(self, operation, params):
        place = f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/{params['GroupName']}/{params['Name']}"
        self._note("scheduler", operation, place)
        if operation == "CreateSchedule":
            self._note("iam", "PassRole", params["Target"]["RoleArn"])
        body = '{"id": "j", "payload": {"name": "a"}, "copied_at": [1]}'
        return {"Target": {"Arn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:blue-work", "Input": body}}

    def letter(self, job_id="j"):
        """Put a dead letter into every queue's way."""
        attributes = dict.fromkeys(
            ("SentTimestamp", "ApproximateFirstReceiveTimestamp", "ApproximateReceiveCount"), "1"
        )
        body = f'{{"id": "{job_id}", "payload": {{"name": "a"}}}}'
        self.letters.append(
            {"MessageId": f"m-{job_id}", "ReceiptHandle": job_id, "Body": body, "Attributes": attributes}
        )

    def job(self, state, **more):
        self.record = {"id": "j", "task": "work", "state": state, "attempt": 1, "created_at": 1, **more}


@pytest.fixture
def aws(monkeypatch):
    fake = FakeAws()
    monkeypatch.setattr(sdk, "caller", fake.caller)
    return fake


@pytest.fixture
def client(aws):
    return Client.from_stack("blue")


def send(client, _aws):
    client.enqueue("work", {"name": "a"}).cancel()
    client.enqueue("work", {"name": "a"}, priority="high", delay="5m", key="k")
    client.enqueue("work", {"name": "a"}, id="j").status()


def send_many(client, _aws):
    client.enqueue_many("work", [({"name": "a"}, {"id": "j", "key": "k"}), {"name": "b"}])


def await_it(client, aws):
    aws.job("SUCCEEDED", result='"a"')
    asyncio.run(client.await_("j", 5))


def large_payload(client, _aws):
    client.enqueue("work", {"name": "a" * 300_000})


def large_result(client, aws):
    for days in RESULT_DAYS:
        aws.job("SUCCEEDED", result_ref={"bucket": "blobs", "key": f"results/{days}d/work/j/lease.json"})
        assert client.handle("j").result(0) == "large"


def long_delay(client, _aws):
    client.enqueue("work", {"name": "a"}, delay="2h")


def large_payload_and_long_delay(client, _aws):
    client.enqueue("work", {"name": "a" * 300_000}, delay="364d")


def retry_failed(client, aws):
    aws.job("FAILED", finished_at=1)
    aws.letter("other")
    aws.letter("j")
    client.retry("j", 0)


def retry_failed_in_a_lane(client, aws):
    aws.job("FAILED", finished_at=1, lane="high")
    aws.letter("j")
    client.retry("j", 0)


def retry_waiting(client, aws):
    now = SystemClock().now()
    aws.job("RETRYING", next_at=now + SIX_DAYS, timer_until=now + SIX_DAYS)
    client.retry("j", 0)


def look_at_jobs(client, _aws):
    list_jobs(client, task="work")


def look_at_queues(client, _aws):
    list_queues(client, "work")


def look_at_dead_letters(client, aws):
    aws.letter()
    list_dead_letters(client, "work")


def redrive_all(client, _aws):
    redrive(client, "work")


def redrive_some(client, aws):
    aws.letter("other")
    aws.letter("j")
    redrive(client, "work", Selection(ids=("j",)))


def purge_them(client, _aws):
    purge(client, "work")


BASIS = "every producer"
SCENARIOS = {
    send: {BASIS},
    send_many: {BASIS, "many jobs"},
    await_it: {BASIS, "waits in `async` code"},
    large_payload: {BASIS, "payloads over 200 KB"},
    large_result: {BASIS, "results over 8 KB"},
    long_delay: {BASIS, "delays of more than 15 minutes"},
    large_payload_and_long_delay: {BASIS, "payloads over 200 KB", "delays of more than 15 minutes"},
    retry_failed: {BASIS, "`jobs retry`"},
    retry_failed_in_a_lane: {BASIS, "`jobs retry`"},
    retry_waiting: {BASIS, "`jobs retry`"},
    look_at_jobs: {BASIS, "`jobs list`"},
    look_at_queues: {BASIS, "`queues`"},
    look_at_dead_letters: {BASIS, "`dlq list`, `dlq show`"},
    redrive_all: {BASIS, "`dlq redrive`"},
    redrive_some: {BASIS, "`dlq redrive`"},
    purge_them: {BASIS, "`dlq purge`"},
}


def allows(row, call):
    return call.action in row.actions and any(fnmatchcase(call.resource, pattern) for pattern in row.resources)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.__name__)
def test_what_is_documented_for_a_use_is_enough(client, aws, scenario):
    scenario(client, aws)
    rows = [row for row in ROWS if row.use in SCENARIOS[scenario]]
    assert [call for call in sorted(aws.called) if not any(allows(row, call) for row in rows)] == []


def test_nothing_is_documented_that_no_use_needs(monkeypatch):
    needed = set()
    for scenario, uses in SCENARIOS.items():
        fake = FakeAws()
        monkeypatch.setattr(sdk, "caller", fake.caller)
        scenario(Client.from_stack("blue"), fake)
        for row in ROWS:
            if row.use in uses:
                needed |= {
                    (row, call.action, pattern)
                    for call in fake.called
                    for pattern in row.resources
                    if call.action in row.actions and fnmatchcase(call.resource, pattern)
                }
    unneeded = [(row.use, action) for row in ROWS for action in row.actions if not any(
        (row, action, pattern) in needed for pattern in row.resources)]  # fmt: skip
    assert unneeded == []
    patterns = [(row.use, pattern) for row in ROWS for pattern in row.resources if not any(
        (row, action, pattern) in needed for action in row.actions)]  # fmt: skip
    assert patterns == []


def test_each_use_is_tried_and_each_try_is_documented():
    assert set().union(*SCENARIOS.values()) == USES


def test_patterns_end_where_they_are_open_and_no_producer_reaches_a_dead_letter():
    for row in ROWS:
        assert not any("*" in action for action in row.actions)
        assert not any("*" in pattern[:-1] for pattern in row.resources)
        if not row.use.startswith("`"):
            assert not any(fnmatchcase(f"arn:aws:sqs:{REGION}:{ACCOUNT}:blue-work-dlq", each) for each in row.resources)


def test_the_role_of_timers_may_be_passed_to_the_scheduler_alone():
    assert '"iam:PassedToService": "scheduler.amazonaws.com"' in PAGE.read_text()
