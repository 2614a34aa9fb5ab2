from __future__ import annotations

import pytest

from offload.aws import manifests
from offload.aws.calls import Rejected
from offload.core.errors import Refused, Unavailable
from offload.core.manifest import Manifest, pack_tasks

MANIFEST = Manifest(
    stack="blue",
    account="1",
    region="eu-north-1",
    table="jobs",
    bucket="blobs",
    tasks={"send_email": {"priorities": ["default"]}},
    timers={"group": "g", "role": "r"},
)


def test_a_stack_is_read_from_its_parameter():
    asked = []

    def call(operation, params):
        asked.append((operation, params))
        return {"Parameter": {"Value": MANIFEST.dump()}}

    assert manifests.read("blue", call) == MANIFEST
    assert asked == [("GetParameter", {"Name": "/offload/blue/manifest"})]


def test_a_stack_that_is_not_deployed_is_told_with_the_way_to_deploy_it():
    def call(operation, params):
        raise Rejected("GetParameter: ParameterNotFound", "ParameterNotFound")

    with pytest.raises(Refused, match=r"'blue' is not deployed.*cdk deploy.*offload local up.*AWS_REGION"):
        manifests.read("blue", call)


def test_other_trouble_stays_what_it_is():
    def call(operation, params):
        raise Rejected("GetParameter: AccessDenied: no", "AccessDenied")

    with pytest.raises(Rejected, match="AccessDenied"):
        manifests.read("blue", call)


class Parameters:
    """SSM, with a stack that is deployed again while it is read."""

    def __init__(self, deployments):
        self.deployments = deployments
        self.asked = []

    def __call__(self, operation, params):
        self.asked.append(operation)
        packed = pack_tasks(MANIFEST.tasks)
        if operation == "GetParameter":
            return {"Parameter": {"Value": MANIFEST.dump(["/part/0", "/part/1"])}}
        self.deployments -= 1
        kept = params["Names"] if self.deployments < 0 else params["Names"][:1]
        halves = {"/part/0": packed[:10], "/part/1": packed[10:]}
        return {"Parameters": [{"Name": name, "Value": halves[name]} for name in kept]}


@pytest.mark.parametrize("deployments", [0, 1, 2])
def test_parts_that_a_deployment_has_deleted_meanwhile_are_looked_up_again(deployments):
    call = Parameters(deployments)
    assert manifests.read("blue", call) == MANIFEST
    assert call.asked == ["GetParameter", "GetParameters"] * (deployments + 1)


def test_a_stack_that_is_deployed_all_the_time_is_unavailable():
    with pytest.raises(Unavailable, match="the stack is being deployed, try again"):
        manifests.read("blue", Parameters(99))
