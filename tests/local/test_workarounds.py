import json

from offload.local import workarounds

TEMPLATE = {
    "Resources": {
        "Jobs": {
            "Type": "AWS::DynamoDB::GlobalTable",
            "Properties": {"TimeToLiveSpecification": {"AttributeName": "ttl", "Enabled": True}},
        },
        "Kept": {"Type": "AWS::DynamoDB::Table", "Properties": {}},
        "Off": {
            "Type": "AWS::DynamoDB::Table",
            "Properties": {"TimeToLiveSpecification": {"AttributeName": "ttl", "Enabled": False}},
        },
        "Queue": {"Type": "AWS::SQS::Queue"},
    }
}


class Aws:
    def __init__(self):
        self.calls = []

    def __call__(self, service):
        return self

    def describe_stack_resource(self, *, StackName, LogicalResourceId):  # noqa: N803
        return {"StackResourceDetail": {"PhysicalResourceId": f"{StackName}-{LogicalResourceId}"}}

    def update_time_to_live(self, **call):
        self.calls.append(call)


def test_expiry_is_switched_on_where_the_template_asks_for_it():
    aws = Aws()
    assert workarounds.enable_ttl(TEMPLATE, "offload", aws) == ["offload-Jobs"]
    setting = {"Enabled": True, "AttributeName": "ttl"}
    assert aws.calls == [{"TableName": "offload-Jobs", "TimeToLiveSpecification": setting}]


def test_the_template_is_found_by_the_stacks_name(tmp_path):
    stack = {
        "type": "aws:cloudformation:stack",
        "properties": {"templateFile": "Offload.template.json", "stackName": "mine"},
    }
    manifest = {"artifacts": {"Tree": {"type": "cdk:tree"}, "Offload": stack}}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "Offload.template.json").write_text(json.dumps(TEMPLATE))
    assert workarounds.read_template(tmp_path, "mine") == TEMPLATE
    assert workarounds.read_template(tmp_path, "Offload") == {}


def test_kept_state_moves_to_another_port_and_nothing_else_changes(tmp_path):
    file = tmp_path / "sqs.json"
    file.write_text(
        '["http://localhost:4566/0/q", "http://127.0.0.1:4566/0/q", "http://localhost:45660/", "port 4566"]'
    )
    workarounds.move_port(tmp_path, 4566, 4999)
    assert json.loads(file.read_text()) == [
        "http://localhost:4999/0/q",
        "http://127.0.0.1:4999/0/q",
        "http://localhost:45660/",
        "port 4566",
    ]
