"""What the signed transport writes for S3 and Scheduler is what boto3 writes, and what it reads is what they answer."""

from __future__ import annotations

import base64
import json
import random
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from botocore.config import Config

from offload.aws import signed
from offload.aws.calls import Rejected
from offload.aws.protocols import S3, service
from offload.core.errors import Unavailable


class Recorder:
    """Keeps each request and answers as told."""

    def __init__(self):
        self.requests, self.answers = [], []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _handle(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                outer.requests.append((self.command, self.path, dict(self.headers.items()), body))
                status, raw, headers = outer.answers.pop(0) if outer.answers else (200, b"", {})
                self.send_response(status)
                for name, value in {"content-length": str(len(raw)), **headers}.items():
                    if value is not None:
                        self.send_header(name, value)
                self.end_headers()
                self.wfile.write(raw)

            do_GET = do_PUT = do_POST = do_DELETE = _handle  # noqa: N815 - as `http.server` calls them

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *_: None
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def recorder(credentials, monkeypatch):
    made = Recorder()
    monkeypatch.setenv("AWS_ENDPOINT_URL", made.address)
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def call(recorder, clock):
    return lambda name: signed.caller(name, clock=clock, rng=random.Random(1))


SCHEDULE = {
    "Name": "job-1_a.b",
    "GroupName": "offload group",
    "ScheduleExpression": "at(2026-01-01T00:00:01)",
    "ScheduleExpressionTimezone": "UTC",
    "FlexibleTimeWindow": {"Mode": "OFF"},
    "ActionAfterCompletion": "DELETE",
    "Target": {"Arn": "arn:aws:sqs:eu-north-1:1:q", "RoleArn": "arn:role", "Input": "{}"},
}
NAMED = {"Name": "job-1", "GroupName": "offload group"}
KEYS = ["payloads/mail/job-1.json", "a b/ä€.json", "x+y=z&q?#%41", "a//b/../c~d", "results/7d/" + "l" * 200]


@pytest.mark.parametrize(
    ("operation", "params"),
    [("CreateSchedule", SCHEDULE), ("GetSchedule", NAMED), ("DeleteSchedule", NAMED), ("GetSchedule", {"Name": "j"})],
)
def test_scheduler_gets_what_boto3_sends(recorder, call, operation, params):
    recorder.answers = [(200, b'{"ScheduleArn": "arn"}', {})] * 2
    client = boto3.client("scheduler", config=Config(retries={"total_max_attempts": 1}))
    method = {"CreateSchedule": "create_schedule", "GetSchedule": "get_schedule", "DeleteSchedule": "delete_schedule"}
    getattr(client, method[operation])(**params)
    assert call("scheduler")(operation, params) == {"ScheduleArn": "arn"}
    theirs, ours = ((verb, urlsplit(path), body) for verb, path, _, body in recorder.requests)
    assert ours[0] == theirs[0]
    assert ours[1].path == theirs[1].path
    query = parse_qs(theirs[1].query)
    query.pop("clientToken", None)  # which boto3 draws; a second schedule of a name is refused without it, too
    assert parse_qs(ours[1].query) == query
    expected = json.loads(theirs[2]) if theirs[2] else {}
    expected.pop("ClientToken", None)
    assert (json.loads(ours[2]) if ours[2] else {}) == expected


@pytest.mark.parametrize("key", KEYS)
def test_s3_gets_what_boto3_sends(recorder, call, key):
    quiet = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
    client = boto3.client("s3", config=quiet)
    put = {"Bucket": "my-bucket", "Key": key, "Body": b"data", "ContentType": "application/json"}
    client.put_object(**put)
    call("s3")("PutObject", put)
    recorder.answers = [(200, b"data", {})] * 2
    client.get_object(Bucket="my-bucket", Key=key)
    assert call("s3")("GetObject", {"Bucket": "my-bucket", "Key": key}) == {"Body": b"data"}
    theirs, ours = recorder.requests[::2], recorder.requests[1::2]
    assert [each[:2] for each in ours] == [each[:2] for each in theirs]
    assert ours[0][3] == b"data"
    headers = {name.lower(): value for name, value in ours[0][2].items()}
    assert headers["content-type"] == "application/json"
    assert base64.b64decode(headers["x-amz-checksum-sha256"]) == sha256(b"data").digest()


def test_a_bucket_is_in_the_host_name_at_aws_and_in_the_path_elsewhere():
    get = {"Bucket": "my-bucket", "Key": "k"}
    at_aws, elsewhere = (S3().encode("GetObject", get, own_endpoint=own) for own in (False, True))
    assert (at_aws.subdomain, at_aws.path) == ("my-bucket.", "/k")
    assert (elsewhere.subdomain, elsewhere.path) == ("", "/my-bucket/k")
    dotted = S3().encode("GetObject", {**get, "Bucket": "my.bucket"}, own_endpoint=False)
    assert (dotted.subdomain, dotted.path) == ("", "/my.bucket/k")


def test_the_hosts_of_buckets_are_kept_and_bounded(credentials, clock):
    call = signed.caller("s3", clock=clock)
    assert call._pool("my-bucket.").address == "https://my-bucket.s3.eu-north-1.amazonaws.com"
    assert call._pool("my-bucket.") is call._pool("my-bucket.")
    for number in range(50):
        call._pool(f"bucket-{number}.")
    assert len(call._pools) <= 8


@pytest.mark.parametrize("bucket", ["evil.example/", "a@evil", "UPPER", "a", "x:80", "b" * 64, "a\r\nhost: x", "-a-"])
def test_what_is_no_bucket_never_becomes_a_host(call, recorder, bucket):
    with pytest.raises(Rejected, match="is not the name of a bucket") as caught:
        call("s3")("GetObject", {"Bucket": bucket, "Key": "k"})
    assert caught.value.lasting
    assert recorder.requests == []


def test_an_object_that_is_too_large_is_not_read(recorder, call):
    recorder.answers = [(200, b"x" * 101, {}), (200, b"x" * 100, {})]
    get = {"Bucket": "my-bucket", "Key": "k", "MostBytes": 100}
    with pytest.raises(Rejected, match="101 bytes; at most 100") as caught:
        call("s3")("GetObject", get)
    assert (caught.value.code, caught.value.lasting) == ("EntityTooLarge", True)
    assert call("s3")("GetObject", get) == {"Body": b"x" * 100}
    recorder.answers = [(200, b"5\r\nabcde\r\n0\r\n\r\n", {"content-length": None, "transfer-encoding": "chunked"})] * 2
    assert call("s3")("GetObject", {**get, "MostBytes": 5}) == {"Body": b"abcde"}
    with pytest.raises(Rejected, match="more than 4 bytes"):
        call("s3")("GetObject", {**get, "MostBytes": 4})


def xml(code, message="because"):
    return f'<?xml version="1.0"?>\n<Error><Code>{code}</Code><Message>{message}</Message><Key>k</Key></Error>'.encode()


@pytest.mark.parametrize(
    ("status", "code", "lasting"),
    [
        (404, "NoSuchKey", True),
        (404, "NoSuchBucket", False),
        (403, "AccessDenied", False),
        (400, "ExpiredToken", False),
    ],
)
def test_errors_of_s3_are_told_by_their_code(recorder, call, status, code, lasting):
    recorder.answers = [(status, xml(code), {})]
    with pytest.raises(Rejected, match=f"GetObject: {code}: because") as caught:
        call("s3")("GetObject", {"Bucket": "my-bucket", "Key": "k"})
    assert (caught.value.code, caught.value.lasting) == (code, lasting)


def test_passing_faults_of_s3_are_tried_again(recorder, call):
    recorder.answers = [(503, xml("SlowDown"), {}), (500, b"<html>", {}), (200, b"data", {})]
    assert call("s3")("GetObject", {"Bucket": "my-bucket", "Key": "k"})["Body"] == b"data"
    recorder.answers = [(503, xml("SlowDown"), {})] * 5
    with pytest.raises(Unavailable, match="SlowDown"):
        call("s3")("GetObject", {"Bucket": "my-bucket", "Key": "k"})


def test_errors_of_scheduler_are_told_by_their_code(recorder, call):
    recorder.answers = [(409, b'{"Message": "exists"}', {"x-amzn-errortype": "ConflictException:http://x"})]
    with pytest.raises(Rejected, match="CreateSchedule: ConflictException: exists") as caught:
        call("scheduler")("CreateSchedule", SCHEDULE)
    assert caught.value.code == "ConflictException"


def test_another_service_is_not_spoken_to():
    with pytest.raises(KeyError):
        service("ses")
