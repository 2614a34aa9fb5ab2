"""A job to run in, and an account to run against."""

import boto3
import pytest
from moto import mock_aws

import functions
from functions.deliver_webhook import handler as deliver_webhook
from functions.export_report import rows
from functions.send_email import handler as send_email
from offload.core.manifest import Manifest
from offload.core.tasks.context import enter, leave

BUCKET = "offload-files"


class FakeJob:
    """What `current_job()` gives, kept for the test to read."""

    def __init__(self):
        self.id, self.attempt, self.task, self.tenant, self.hops = "job-1", 1, "task", None, 0
        self.remaining, self.cancelled = 600.0, False
        self.said = []

    def progress(self, current, total=None, *, stage=None):
        self.said.append((current, total, stage))


@pytest.fixture
def job():
    fake = FakeJob()
    token = enter(fake)
    yield fake
    leave(token)


@pytest.fixture
def aws(monkeypatch):
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "OFFLOAD_MANIFEST": Manifest("offload", "123456789012", "eu-west-1", "jobs", BUCKET, {}, {}).dump(),
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    cached = (functions.s3, send_email.ses, deliver_webhook.ssm, deliver_webhook._secrets, rows.dynamodb)
    with mock_aws():
        for function in cached:
            function.cache_clear()
        yield
    for function in cached:
        function.cache_clear()


@pytest.fixture
def s3(aws):
    client = boto3.client("s3")
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    return client


@pytest.fixture
def refuse(monkeypatch):
    """Return a function that makes a client's method answer with an AWS error from now on."""
    from botocore.exceptions import ClientError

    def arrange(client, method, code):
        def fail(**_):
            raise ClientError({"Error": {"Code": code, "Message": "no"}}, method)

        monkeypatch.setattr(client, method, fail)

    return arrange
