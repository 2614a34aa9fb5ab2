from __future__ import annotations

import io
import random
import socket
import time

import boto3
import pytest
from botocore import exceptions as known
from botocore.stub import Stubber

from offload.aws import sdk
from offload.aws.calls import Ambiguous, Rejected
from offload.core.errors import Refused, Unavailable
from offload.core.writes import Conflict

UNREACHABLE = {"endpoint_url": "http://127.0.0.1:1", "error": "refused"}


@pytest.fixture
def stubbed(credentials, clock):
    """A transport to DynamoDB whose client answers by script."""
    client = boto3.client("dynamodb")
    with Stubber(client) as stub:
        yield sdk.caller("dynamodb", lambda: client, clock=clock, rng=random.Random(1)), stub


@pytest.fixture
def fresh(monkeypatch, credentials, tmp_path):
    """No session yet, and none of the developer's own configuration."""
    monkeypatch.setattr(sdk, "_session", None)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def test_an_operation_is_called_by_its_name_and_the_client_is_built_once(credentials):
    built = []

    class Client:
        def describe_time_to_live(self, **params):
            return {"asked": params}

    def build():
        built.append(1)
        return Client()

    call = sdk.caller("dynamodb", build)
    assert built == []
    for _ in range(2):
        assert call("DescribeTimeToLive", {"TableName": "jobs"}) == {"asked": {"TableName": "jobs"}}
    assert built == [1]


def test_a_streamed_body_is_read(credentials):
    class Client:
        def get_object(self, **params):
            return {"Body": io.BytesIO(b"data")}

    assert sdk.caller("s3", Client)("GetObject", {}) == {"Body": b"data"}


@pytest.mark.parametrize(("retries", "kind"), [(0, Conflict), (1, Ambiguous)])
def test_a_failed_condition_is_a_conflict_with_the_old_item(stubbed, retries, kind):
    call, stub = stubbed
    stub.add_client_error(
        "update_item",
        "ConditionalCheckFailedException",
        response_meta={"RetryAttempts": retries},
        modeled_fields={"Item": {"id": {"S": "a"}}},
    )
    with pytest.raises(Conflict) as caught:
        call("UpdateItem", {"TableName": "jobs", "Key": {"id": {"S": "a"}}})
    assert type(caught.value) is kind
    assert caught.value.item == {"id": "a"}


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [("ThrottlingException", 400, Unavailable), ("Whatever", 503, Unavailable), ("AccessDenied", 403, Rejected)],
)
def test_errors_are_classified_as_for_the_lean_transport(stubbed, monkeypatch, code, status, kind):
    monkeypatch.setattr(sdk, "ATTEMPTS", 1)
    call, stub = stubbed
    stub.add_client_error("get_item", code, "because\nof this", status)
    with pytest.raises(kind, match=f"^GetItem: {code}: because$"):
        call("GetItem", {"TableName": "jobs", "Key": {"id": {"S": "a"}}})


KEY = {"TableName": "jobs", "Key": {"id": {"S": "a"}}}


def test_a_passing_fault_is_tried_again_and_the_answer_says_when_the_first_may_have_been_heard(stubbed, clock):
    call, stub = stubbed
    stub.add_client_error("get_item", "ThrottlingException")
    stub.add_response("get_item", {})
    assert "RetryAttempts" not in call("GetItem", KEY).get("ResponseMetadata", {})
    stub.add_client_error("get_item", "InternalServerError", http_status_code=500)
    stub.add_client_error("get_item", "ThrottlingException")
    stub.add_response("get_item", {})
    assert call("GetItem", KEY)["ResponseMetadata"]["RetryAttempts"] == 2
    stub.add_client_error("update_item", "InternalServerError", http_status_code=500)
    stub.add_client_error("update_item", "ConditionalCheckFailedException")
    with pytest.raises(Ambiguous):
        call("UpdateItem", KEY)
    draws = random.Random(1)
    assert clock.slept == [draws.uniform(0, bound) for bound in (0.2, 0.2, 0.4, 0.2)]


def test_attempts_are_bounded_by_their_number_and_by_time(credentials, clock):
    asked = []

    class Silent:
        def get_item(self):
            asked.append(1)
            clock.advance(5)
            raise known.ReadTimeoutError(**UNREACHABLE)

    class Throttling:
        def get_item(self):
            asked.append(1)
            raise known.EndpointConnectionError(**UNREACHABLE)

    for kind, attempts in ((Silent, 2), (Throttling, sdk.ATTEMPTS)):
        asked.clear()
        with pytest.raises(Unavailable):
            sdk.caller("dynamodb", kind, clock=clock)("GetItem", {})
        assert len(asked) == attempts


def test_a_silent_endpoint_is_given_up_within_seconds(fresh, monkeypatch):
    """Real time, with everything a tenth as long."""
    monkeypatch.setattr(sdk, "LONGEST_SILENCE", sdk.LONGEST_SILENCE / 10)
    monkeypatch.setattr(sdk, "PATIENCE", sdk.PATIENCE / 10)
    with socket.create_server(("127.0.0.1", 0), backlog=16) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        call = sdk.caller("dynamodb")
        with pytest.raises(AttributeError):  # the client is built, without a request
            call("Nonsense", {})
        began = time.monotonic()
        with pytest.raises(Unavailable, match="nothing answers"):
            call("GetItem", KEY)
        assert 0.9 <= time.monotonic() - began <= 2.5


def test_a_long_poll_is_waited_for(fresh, monkeypatch):
    built = []
    monkeypatch.setattr(sdk, "client", lambda service, config: built.append(config.read_timeout) or Polls())

    class Polls:
        def receive_message(self, **params):
            return {}

    call = sdk.caller("sqs")
    for wait in (0, 20, 1, 0):
        call("ReceiveMessage", {"QueueUrl": "q", "WaitTimeSeconds": wait})
    assert built == [sdk.LONGEST_SILENCE, sdk.LONGEST_SILENCE + 20]


def test_a_body_that_is_too_large_is_not_read(credentials):
    class Unread(io.BytesIO):
        def read(self, *_):
            pytest.fail("was read")

    class Client:
        def get_object(self, **params):
            assert "MostBytes" not in params
            return {"Body": Unread(), "ContentLength": 11}

    with pytest.raises(Rejected, match="11 bytes") as caught:
        sdk.caller("s3", Client)("GetObject", {"MostBytes": 10})
    assert caught.value.lasting


def test_parameters_the_service_does_not_have_are_rejected(stubbed):
    with pytest.raises(Rejected):
        stubbed[0]("GetItem", {"Nonsense": 1})


@pytest.mark.parametrize(
    ("error", "kind", "advice"),
    [
        (known.NoCredentialsError(), Rejected, "aws configure"),
        (known.PartialCredentialsError(provider="env", cred_var="x"), Rejected, "aws configure"),
        (known.NoRegionError(), Rejected, "set AWS_REGION"),
        (known.UnauthorizedSSOTokenError(), Rejected, "aws sso login"),
        (known.SSOTokenLoadError(error_msg="x"), Rejected, "aws sso login"),
        (known.EndpointConnectionError(**UNREACHABLE), Unavailable, "AWS does not answer"),
        (known.ConnectTimeoutError(**UNREACHABLE), Unavailable, "AWS does not answer"),
        (known.ReadTimeoutError(**UNREACHABLE), Unavailable, "AWS does not answer"),
        (known.ConnectionClosedError(**UNREACHABLE), Unavailable, "AWS does not answer"),
        (known.ProxyConnectionError(proxy_url="http://x", error="x"), Unavailable, "AWS does not answer"),
        (known.IncompleteReadError(actual_bytes=1, expected_bytes=2), Unavailable, "AWS does not answer"),
        (ConnectionResetError(), Unavailable, "AWS does not answer"),
        (known.ProfileNotFound(profile="nobody"), Rejected, "nobody"),
    ],
)
def test_what_boto3_raises_becomes_one_line_that_says_what_to_do(credentials, clock, error, kind, advice):
    class Client:
        def get_item(self):
            raise error

    with pytest.raises(kind, match=advice) as caught:
        sdk.caller("dynamodb", Client, clock=clock)("GetItem", {})
    assert "\n" not in str(caught.value)


def test_an_engine_that_does_not_run_is_named_with_the_command_that_starts_it(fresh, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    monkeypatch.setattr(sdk, "ATTEMPTS", 1)
    with pytest.raises(Unavailable, match=f"nothing answers at AWS_ENDPOINT_URL={address}.*offload local up"):
        sdk.caller("ssm")("GetParameter", {"Name": "x"})


def test_no_credentials_and_no_region_are_told_before_anything_is_sent(fresh, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    with pytest.raises(Refused, match="no usable AWS credentials"):
        sdk.caller("ssm")("GetParameter", {"Name": "x"})
    monkeypatch.setattr(sdk, "_session", None)
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(Refused, match="no AWS region"):
        sdk.client("ssm")


def test_a_profile_that_does_not_exist_is_named(fresh, monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(Refused, match="nobody"):
        sdk.client("ssm")


def test_clients_have_bounded_patience_and_take_overrides(fresh):
    config = sdk.client("sqs").meta.config
    assert (config.connect_timeout, config.read_timeout) == (3.0, 30.0)
    assert config.retries == {"mode": "standard", "total_max_attempts": 5}
    given = boto3.session.Config(read_timeout=7)
    client = sdk.client("sqs", region_name="eu-west-1", config=given)
    assert client.meta.region_name == "eu-west-1"
    assert (client.meta.config.connect_timeout, client.meta.config.read_timeout) == (3.0, 7)


def test_the_region_is_aws_region_as_for_the_other_sdks(monkeypatch):
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    for region in ("eu-west-1", "eu-north-1"):
        monkeypatch.setenv("AWS_REGION", region)
        assert sdk.client("sqs").meta.region_name == region
