"""Every task's function, its mappings, logs and environment."""

import json

import pytest

from offload.core.manifest import Manifest

LIMIT = 4096


@pytest.fixture(scope="module")
def functions(template):
    return {
        item["FunctionName"].removeprefix("offload-"): item for item in template.all("AWS::Lambda::Function").values()
    }


def test_each_task_has_one_function(functions, tasks):
    assert sorted(functions) == tasks


def test_each_lane_has_a_mapping_that_reports_failures_and_is_bounded(template, functions, tasks):
    mappings = template.all("AWS::Lambda::EventSourceMapping").values()
    assert len(mappings) == len(tasks) + 1
    for mapping in mappings:
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        assert mapping["ScalingConfig"]["MaximumConcurrency"] >= 2
        assert mapping.get("MaximumBatchingWindowInSeconds", 0) == 0
        assert "FilterCriteria" not in mapping  # it deletes what does not match


def test_lanes_share_a_function(template):
    function = template.name_of("AWS::Lambda::Function", FunctionName="offload-nightly")
    mappings = [
        mapping
        for mapping in template.all("AWS::Lambda::EventSourceMapping").values()
        if template.flat(mapping["FunctionName"]) == f"<{function}>"
    ]
    queues = {
        template.name_of("AWS::SQS::Queue", QueueName=name) for name in ("offload-nightly", "offload-nightly-high")
    }
    assert {template.flat(mapping["EventSourceArn"]) for mapping in mappings} == {f"<{queue}.Arn>" for queue in queues}
    assert {(mapping["BatchSize"], mapping["ScalingConfig"]["MaximumConcurrency"]) for mapping in mappings} == {(4, 7)}


def test_settings_reach_the_function(functions):
    nightly = functions["nightly"]
    assert (nightly["Timeout"], nightly["MemorySize"]) == (900, 512)
    assert nightly["Environment"]["Variables"]["GREETING"] == "hello"


def test_functions_run_on_arm_and_may_enqueue_in_long_chains(functions):
    for name, function in functions.items():
        assert function["Handler"] == "offload.runtime.entry.handler"
        assert function["Architectures"] == ["arm64"]
        assert function["Runtime"] == "python3.13"
        assert function["RecursiveLoop"] == "Allow"
        assert "ReservedConcurrentExecutions" not in function
        assert function["Environment"]["Variables"]["OFFLOAD_TASK"] == name


def test_each_function_logs_to_a_group_of_its_own_that_forgets(template, functions):
    for name, function in functions.items():
        group = template.name_of("AWS::Logs::LogGroup", LogGroupName=f"/aws/lambda/offload-{name}")
        assert template.flat(function["LoggingConfig"]["LogGroup"]) == f"<{group}>"
        assert template.all("AWS::Logs::LogGroup")[group]["RetentionInDays"] == 90


def manifest_of(function, template):
    return Manifest.load(template.flat(function["Environment"]["Variables"]["OFFLOAD_MANIFEST"]))


def test_a_function_knows_its_stack(functions, template):
    for function in functions.values():
        manifest = manifest_of(function, template)
        assert (manifest.stack, manifest.tasks) == ("offload", {})
        assert manifest.bucket.strip("<>") in template.all("AWS::S3::Bucket")


def test_environments_fit_lambda_with_the_longest_names(functions, template):
    for function in functions.values():
        variables = function["Environment"]["Variables"]
        assert sum(len(name) + len(template.flat(value)) for name, value in variables.items()) < LIMIT


def test_what_a_task_may_enqueue_it_may_import(assembly, tasks):
    importable = json.loads((assembly / "seen.json").read_text())["importable"]
    assert importable["leaf"] == []
    assert importable["nightly"] == ["leaf"]
    assert importable["alert"] == tasks


def test_a_bundle_knows_the_tasks_that_its_own_may_enqueue(assembly, tasks):
    known = json.loads((assembly / "seen.json").read_text())["known"]
    assert sorted(known["leaf"]) == ["leaf"]
    assert sorted(known["nightly"]) == ["alert", "leaf", "nightly"]
    assert sorted(known["alert"]) == tasks
    assert known["nightly"]["leaf"]["schema"]["additionalProperties"] is False
