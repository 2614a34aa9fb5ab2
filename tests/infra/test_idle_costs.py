"""What a stack costs without jobs: the table of docs/architecture.md against the template."""

import re
from typing import NamedTuple

import pytest

from tests.infra.conftest import EXAMPLES

KINDS = {
    "queues that Lambda polls": "AWS::Lambda::EventSourceMapping",
    "alarms": "AWS::CloudWatch::Alarm",
    "KMS keys": "AWS::KMS::Key",
    "dashboards": "AWS::CloudWatch::Dashboard",
}
BY_USE = {
    "AWS::DynamoDB::Table",
    "AWS::Events::Rule",
    "AWS::IAM::Role",
    "AWS::Lambda::Function",
    "AWS::Logs::LogGroup",
    "AWS::S3::Bucket",
    "AWS::S3::BucketPolicy",
    "AWS::SNS::Subscription",
    "AWS::SNS::Topic",
    "AWS::SNS::TopicPolicy",
    "AWS::SQS::Queue",
    "AWS::SQS::QueuePolicy",
    "AWS::SSM::Parameter",
    "AWS::Scheduler::Schedule",
    "AWS::Scheduler::ScheduleGroup",
}
"""Kinds of resources that AWS bills by requests and by size alone, or not at all."""

RECEIVES, PRICE = 15 * 60 * 24 * 30, 0.40e-6
"""Empty receives of one queue in a month, and dollars for one of them."""


class Cost(NamedTuple):
    task: int
    lane: int
    stack: int
    dollars: float

    def count(self, tasks, lanes):
        return self.task * tasks + self.lane * lanes + self.stack


@pytest.fixture(scope="module")
def section(repository):
    text = (repository / "docs" / "architecture.md").read_text()
    return text.partition("### A stack without jobs")[2]


@pytest.fixture(scope="module")
def costs(section):
    row = r"^\| ([^|:,]+)(?:[:,][^|]*)? \| (\d+) \| (\d+) \| (\d+) \| \$([\d.]+)"
    found = re.findall(row, section, re.MULTILINE)
    return {
        name.strip(): Cost(int(task), int(lane), int(stack), float(price)) for name, task, lane, stack, price in found
    }


def test_the_table_has_every_kind_of_resource_that_is_billed_by_time(costs, template):
    assert set(costs) == set(KINDS)
    assert {item["Type"] for item in template.resources.values()} <= BY_USE | set(KINDS.values())


def test_the_table_counts_what_the_template_has(costs, template, tasks):
    lanes = len(tasks) + 1  # `nightly` has two
    for name, kind in KINDS.items():
        assert len(template.all(kind)) == costs[name].count(len(tasks), lanes), name


def test_the_formula_and_the_example_follow_from_the_table(costs, section, template):
    queues, alarms, keys, boards = (costs[name] for name in KINDS)
    assert queues.dollars == pytest.approx(RECEIVES * PRICE, abs=0.005)
    formula = f"{queues.dollars:.2f} L + {alarms.dollars:.2f} ({alarms.task} T + {alarms.lane} L + {alarms.stack})"
    assert f"`{formula} + {keys.dollars:.2f}` dollars" in section
    names = {item["QueueName"] for item in template.all("AWS::SQS::Queue").values()}
    lanes = sum(name.startswith(tuple(f"offload-{task}" for task in EXAMPLES)) for name in names) // 2  # half are DLQs
    examples = len(EXAMPLES), lanes
    total = sum(cost.count(*examples) * cost.dollars for cost in (queues, alarms, keys))
    free = 10 * alarms.dollars + 1e6 * PRICE
    assert f"cost\n${total:.2f}, and ${total - free:.2f} in an account" in section
    assert boards.count(*examples) == 1
