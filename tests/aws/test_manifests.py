from __future__ import annotations

import pytest

from offload.aws import manifests
from offload.aws.calls import Rejected
from offload.core.errors import Refused
from offload.core.manifest import Manifest

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
