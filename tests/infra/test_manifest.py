"""The manifest in SSM parameters: in one while it fits, else in parts that a deployment replaces."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from infra.manifest import parts, with_longest_names
from offload.aws import manifests
from offload.core.manifest import LARGEST_PARAMETER, Manifest, parameter_name

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "account": {"type": "string", "minLength": 3},
        "amount": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None},
        "at": {"type": "string", "format": "date-time"},
    },
    "required": ["account"],
}


def manifest(count):
    """Return the manifest of a stack of many tasks, each with a schema of its own."""

    def schema(number):
        own = {f"argument_{number}_{each}": {"type": "string", "pattern": f"^{number * 7919}-"} for each in range(3)}
        return {**SCHEMA, "properties": {**SCHEMA["properties"], **own}}

    tasks = {f"task_with_a_name_of_some_length_{number}": {"schema": schema(number)} for number in range(count)}
    return Manifest(
        "offload", "<account>", "<region>", "<table>", "<bucket>", tasks, {"group": "offload", "role": "<r>"}
    )


def stored(given):
    """Return the parameters of a manifest, by name."""
    pieces = parts(given)
    return {**dict(pieces), parameter_name(given.stack): given.dump([name for name, _ in pieces])}


@pytest.mark.parametrize(("count", "parameters"), [(0, 1), (1, 1), (30, 1), (400, None)])
def test_a_stack_is_read_as_it_was_written(count, parameters):
    given = manifest(count)
    texts = stored(given)
    requests = []

    def ssm(operation, params):
        requests.append(operation)
        if operation == "GetParameter":
            return {"Parameter": {"Value": texts[params["Name"]]}}
        assert len(params["Names"]) <= 10
        found = [{"Name": name, "Value": texts[name]} for name in reversed(params["Names"])]
        return {"Parameters": found, "InvalidParameters": []}

    assert manifests.read("offload", ssm) == given
    if parameters is not None:
        assert len(texts) == parameters
        assert requests == ["GetParameter"]
    else:
        assert len(texts) > 2
        assert len(requests) <= 3, "400 tasks take three requests at most"


@pytest.mark.parametrize("count", [0, 1, 30, 31, 60, 400])
def test_no_parameter_is_too_large_whatever_cloudformation_fills_in(count):
    texts = stored(with_longest_names(manifest(count)))
    assert max(len(text.encode()) for text in texts.values()) <= LARGEST_PARAMETER
    assert not any("{{" in text for text in texts.values()), "SSM takes it for a reference"


def test_a_part_is_replaced_and_never_changed():
    before, after = dict(parts(manifest(400))), dict(parts(manifest(401)))
    assert not set(before) & set(after)
    assert dict(parts(manifest(400))) == before


def test_a_template_of_many_tasks_writes_its_parts_first():
    import aws_cdk as cdk

    from infra.parameters import ManifestParameters

    app = cdk.App()
    stack = cdk.Stack(app, "Many")
    ManifestParameters(stack, "Manifest", manifest=manifest(400))
    resources = json.loads(json.dumps(app.synth().get_stack_by_name("Many").template))["Resources"]
    texts = {item["Properties"]["Name"]: item["Properties"]["Value"] for item in resources.values()}
    assert texts == stored(manifest(400))
    (first,) = [item for item in resources.values() if item["Properties"]["Name"] == "/offload/offload/manifest"]
    assert len(first["DependsOn"]) == len(resources) - 1


def test_a_text_that_names_parts_needs_somebody_who_reads_them():
    given = manifest(1)
    text = given.dump(["/a", "/b"])
    packed = json.loads(given.dump())["tasks"]
    assert Manifest.load(text, lambda names: [packed[:9], packed[9:]] if names == ["/a", "/b"] else []) == given
    assert Manifest.load(text) == replace(given, tasks={})
