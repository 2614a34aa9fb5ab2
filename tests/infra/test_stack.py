"""What the tasks share: table, bucket, manifest, alarms, dashboard."""

import json

import pytest

from offload.core.manifest import Manifest
from offload.core.ports import LONGEST_QUEUE_DELAY, TIMER_LATENESS
from offload.core.retention import folder_lives


def test_the_job_table(template):
    (table,) = template.all("AWS::DynamoDB::Table").values()
    assert table["KeySchema"] == [{"AttributeName": "id", "KeyType": "HASH"}]
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["TimeToLiveSpecification"] == {"AttributeName": "ttl", "Enabled": True}
    assert "StreamSpecification" not in table, "nothing reads a stream"
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["DeletionProtectionEnabled"] is True
    (index,) = table["GlobalSecondaryIndexes"]
    assert index["IndexName"] == "by_state"
    assert [key["AttributeName"] for key in index["KeySchema"]] == ["idx", "idx_at"]
    assert index["Projection"]["ProjectionType"] == "INCLUDE"
    assert set(index["Projection"]["NonKeyAttributes"]) == {
        *("task", "state", "attempt", "max_attempts", "created_at", "updated_at", "next_at", "reason")
    }


def test_production_data_outlives_the_stack(template):
    for kind in ("AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::Logs::LogGroup"):
        for resource in template.resources.values():
            if resource["Type"] == kind:
                assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == ("Retain", "Retain")


def test_the_bucket_is_closed_and_encrypted(template):
    (bucket,) = template.all("AWS::S3::Bucket").values()
    assert all(bucket["PublicAccessBlockConfiguration"].values())
    (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    (policy,) = template.all("AWS::S3::BucketPolicy").values()
    (denied,) = (item for item in policy["PolicyDocument"]["Statement"] if item["Effect"] == "Deny")
    assert denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_objects_live_as_long_as_what_refers_to_them(template):
    (bucket,) = template.all("AWS::S3::Bucket").values()
    rules = bucket["LifecycleConfiguration"]["Rules"]
    lives = {rule["Prefix"]: rule["ExpirationInDays"] for rule in rules if "Prefix" in rule}
    assert lives == folder_lives()
    assert [rule for rule in rules if "AbortIncompleteMultipartUpload" in rule]


def test_the_manifest_names_everything(template, tasks):
    parameter = template.one("AWS::SSM::Parameter", Name="/offload/offload/manifest")
    assert "Tier" not in parameter, "standard parameters are free"
    texts = {item["Name"]: template.flat(item["Value"]) for item in template.all("AWS::SSM::Parameter").values()}
    manifest = Manifest.load(template.flat(parameter["Value"]), lambda names: [texts[name] for name in names])
    assert sorted(manifest.tasks) == tasks
    assert manifest.tasks["nightly"] == {
        "priorities": ["high", "default"],
        "schema": {
            "type": "object",
            "additionalProperties": False,
            "properties": {"name": {"type": "string", "default": ""}},
        },
    }
    assert set(manifest.tasks["leaf"]) == {"schema"}
    assert manifest.table.strip("<>") in template.all("AWS::DynamoDB::Table")
    assert manifest.bucket.strip("<>") in template.all("AWS::S3::Bucket")
    assert manifest.timers["group"] == "offload"
    assert manifest.timers["role"].strip("<>").removesuffix(".Arn") in template.all("AWS::IAM::Role")
    assert (manifest.account, manifest.region) == ("<AWS::AccountId>", "<AWS::Region>")


@pytest.fixture(scope="module")
def alarms(template):
    return template.all("AWS::CloudWatch::Alarm").values()


def test_each_task_has_its_alarms(alarms, tasks):
    for task in tasks:
        own = [item["MetricName"] for item in alarms if item["AlarmDescription"].startswith(f"Task {task}:")]
        lanes = 2 if task == "nightly" else 1
        assert sorted(own) == sorted(
            ["ApproximateNumberOfMessagesVisible", "ApproximateAgeOfOldestMessage"] * lanes
            + ["Errors", "Throttles", "Duration", "ServiceErrors"]
        )


def test_alarms_reach_an_encrypted_topic_that_refuses_plain_connections(alarms, template):
    (name,) = template.all("AWS::SNS::Topic")
    (key,) = template.all("AWS::KMS::Key")
    assert {template.flat(action) for item in alarms for action in item["AlarmActions"]} == {f"<{name}>"}
    topic = template.all("AWS::SNS::Topic")[name]
    assert template.flat(topic["KmsMasterKeyId"]) in {f"<{key}.Arn>", f"<{key}>"}
    (policy,) = template.all("AWS::SNS::TopicPolicy").values()
    statements = policy["PolicyDocument"]["Statement"]
    assert any(item["Effect"] == "Deny" and "aws:SecureTransport" in str(item["Condition"]) for item in statements)
    assert [item["Protocol"] for item in template.all("AWS::SNS::Subscription").values()] == ["email"]


def test_cloudwatch_may_use_the_topics_key(template):
    (key,) = template.all("AWS::KMS::Key").values()
    principals = [item["Principal"].get("Service") for item in key["KeyPolicy"]["Statement"]]
    assert "cloudwatch.amazonaws.com" in principals
    assert key["EnableKeyRotation"] is True


def test_the_first_dead_letter_raises_an_alarm(alarms, template):
    leaf = [item for item in alarms if item["AlarmDescription"].startswith("Task leaf:")]
    (dead,) = (item for item in leaf if item.get("MetricName") == "ApproximateNumberOfMessagesVisible")
    assert dead["Threshold"] == 1
    queue = template.name_of("AWS::SQS::Queue", QueueName="offload-leaf-dlq")
    assert [template.flat(item["Value"]) for item in dead["Dimensions"]] == [f"<{queue}.QueueName>"]


def test_each_lane_is_watched(alarms, template):
    watched = {template.flat(item["Value"]) for alarm in alarms for item in alarm["Dimensions"]}
    for name in template.all("AWS::SQS::Queue"):
        assert f"<{name}.QueueName>" in watched


def test_services_that_fail_the_workers_raise_an_alarm_that_says_where_to_look(alarms, tasks):
    failing = [item for item in alarms if item["MetricName"] == "ServiceErrors"]
    assert len(failing) == len(tasks)
    for alarm in failing:
        assert (alarm["Namespace"], alarm["Statistic"], alarm["Threshold"]) == ("Offload", "Sum", 1)
        assert (alarm["Period"], alarm["DatapointsToAlarm"], alarm["EvaluationPeriods"]) == (300, 3, 12)
        (dimension,) = alarm["Dimensions"]
        assert alarm["AlarmDescription"].startswith(f"Task {dimension['Value']}: ")
        assert "`service error`" in alarm["AlarmDescription"]


def test_alarms_use_no_metric_math(alarms):
    assert all("MetricName" in alarm for alarm in alarms)  # the embedded engine refuses others


def test_waiting_for_the_next_attempt_raises_no_alarm(alarms):
    (oldest,) = (
        item
        for item in alarms
        if item["AlarmDescription"].startswith("Task deliver_webhook:")
        and item["MetricName"] == "ApproximateAgeOfOldestMessage"
    )
    # A longer wait is a timer, and its message is in no queue.
    assert oldest["Threshold"] > LONGEST_QUEUE_DELAY + 2 * TIMER_LATENESS


def test_the_dashboard_shows_every_task(template, tasks):
    (board,) = template.all("AWS::CloudWatch::Dashboard").values()
    widgets = json.loads(template.flat(board["DashboardBody"]))["widgets"]
    titles = [widget["properties"]["markdown"] for widget in widgets if widget["type"] == "text"]
    assert titles == [f"## {task}" for task in tasks]
    metrics = [metric for widget in widgets for metric in widget["properties"].get("metrics", [])]
    assert ["Offload", "JobsSucceeded", "service", "leaf"] in [metric[:4] for metric in metrics]
