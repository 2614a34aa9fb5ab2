"""Our hosts and partitions are botocore's, in every region it knows."""

from __future__ import annotations

import json
from pathlib import Path

import botocore
import botocore.session
import pytest
from botocore.endpoint_provider import EndpointProvider

from offload.aws.regions import host, partition

DATA = json.loads((Path(botocore.__file__).parent / "data" / "partitions.json").read_text())
REGIONS = [
    (each["id"], region) for each in DATA["partitions"] for region in each["regions"] if not region.endswith("-global")
]
SERVICES = ("dynamodb", "sqs", "s3", "scheduler")


def test_there_is_something_to_compare():
    assert len({name for name, _ in REGIONS}) >= 8
    assert len(REGIONS) >= 45


@pytest.mark.parametrize(("name", "region"), REGIONS, ids=[region for _, region in REGIONS])
def test_every_region_is_in_botocores_partition(name, region):
    assert partition(region).name == name


@pytest.mark.parametrize("service", SERVICES)
def test_every_host_is_botocores(service):
    loader = botocore.session.get_session().get_component("data_loader")
    rules = loader.load_service_model(service, "endpoint-rule-set-1")
    provider = EndpointProvider(ruleset_data=rules, partition_data=DATA)
    for _, region in REGIONS:
        endpoint = provider.resolve_endpoint(Region=region, UseDualStack=False, UseFIPS=False)
        assert endpoint.url == f"https://{host(service, region)}", region


def test_every_bucket_is_where_botocore_finds_it():
    loader = botocore.session.get_session().get_component("data_loader")
    provider = EndpointProvider(
        ruleset_data=loader.load_service_model("s3", "endpoint-rule-set-1"), partition_data=DATA
    )
    for _, region in REGIONS:
        endpoint = provider.resolve_endpoint(Region=region, Bucket="my-bucket", UseDualStack=False, UseFIPS=False)
        assert endpoint.url == f"https://my-bucket.{host('s3', region)}", region


def test_a_region_nobody_knows_yet_is_one_of_the_standard_partition():
    assert host("sqs", "xx-newland-1") == "sqs.xx-newland-1.amazonaws.com"
