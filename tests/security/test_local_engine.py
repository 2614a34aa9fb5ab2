"""What a web page and another user of the machine try with a running engine, and what they get."""

from __future__ import annotations

import datetime as dt
import http.client
import json
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from offload.aws import sdk
from offload.aws.calls import Rejected
from offload.local import environment
from offload.local.engine import Engine
from offload.local.layout import Layout
from offload.local.progress import Silent

pytestmark = pytest.mark.engine

SIGNED = "AWS4-HMAC-SHA256 Credential={id}/20261121/us-east-1/lambda/aws4_request, SignedHeaders=host, Signature=00"


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    engine = Engine(replace(Layout.find(), state=tmp_path_factory.mktemp("engine") / "state"), progress=Silent())
    engine.start()
    yield engine
    engine.stop()


@pytest.fixture
def ask(engine):
    def ask(method="GET", path="/", body=b"", **headers):
        connection = http.client.HTTPConnection(environment.LOOPBACK, engine.port, timeout=10)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): text for name, text in headers.items()})
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), {name.lower() for name, _ in answer.getheaders()}
        finally:
            connection.close()

    return ask


def client(engine, service, **credentials):
    variables = engine.env()
    keys = {
        "aws_access_key_id": variables["AWS_ACCESS_KEY_ID"],
        "aws_secret_access_key": variables["AWS_SECRET_ACCESS_KEY"],
        **credentials,
    }
    return sdk.client(service, endpoint_url=engine.endpoint, region_name=environment.REGION, **keys)


FUNCTION = json.dumps({"FunctionName": "evil", "Runtime": "python3.11", "Handler": "x.y", "Role": "r", "Code": {}})


def test_a_page_cannot_create_a_function(ask):
    """The request of the finding: no signature, a foreign Origin, a foreign Host."""
    status, text, headers = ask(
        "POST", "/2015-03-31/functions", FUNCTION, Host="evil.example", Origin="https://evil.example"
    )
    assert status == 403, text
    assert not any(name.startswith("access-control") for name in headers)


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "localhost:1", "bucket.localhost:{port}"]
)
def test_a_name_that_was_rebound_to_loopback_is_refused(ask, engine, host):
    status, text, _ = ask("GET", "/_ministack/ready", Host=host.format(port=engine.port))
    assert (status, "Host" in text) == (403, True)


@pytest.mark.parametrize(
    "headers", [{"Origin": "http://127.0.0.1:{port}"}, {"Origin": "null"}, {"Sec-Fetch-Site": "none"}]
)
def test_a_page_is_refused_wherever_it_comes_from(ask, engine, headers):
    given = {name: text.format(port=engine.port) for name, text in headers.items()}
    for method in ("GET", "POST", "OPTIONS"):
        status, text, allowed = ask(method, "/_ministack/ready", **given)
        assert (status, "pages" in text) == (403, True)
        assert not any(name.startswith("access-control") for name in allowed)


@pytest.mark.parametrize("name", ["test", environment.ACCOUNT, "OFFLOAD0000000000000000", ""])
@pytest.mark.parametrize(("method", "path"), [("POST", "/2015-03-31/functions"), ("GET", "/bucket/key"), ("POST", "/")])
def test_a_request_that_names_a_key_without_its_secret_is_refused(ask, name, method, path):
    status, _, _ = ask(method, path, b"{}", Authorization=SIGNED.format(id=name), X_Amz_Date="20261121T000000Z")
    assert status == 403


@pytest.mark.parametrize("path", ["/_ministack/reset", "/_ministack/config", "/_ministack/health", "/_localstack/init"])
def test_the_engines_own_doors_are_shut(ask, path):
    for method in ("GET", "POST"):
        assert ask(method, path)[0] == 403


@pytest.mark.parametrize(
    "wrong",
    [
        {"aws_access_key_id": "test", "aws_secret_access_key": "test"},
        {"aws_access_key_id": environment.ACCOUNT, "aws_secret_access_key": "test"},
        {"aws_secret_access_key": "guessed"},
    ],
)
@pytest.mark.parametrize(
    ("service", "operation"), [("sqs", "ListQueues"), ("s3", "ListBuckets"), ("lambda", "ListFunctions")]
)
def test_a_program_without_the_key_is_refused(engine, wrong, service, operation):
    with pytest.raises(Rejected) as refused:
        sdk.caller(service, lambda: client(engine, service, **wrong))(operation, {})
    assert "403" in str(refused.value) or "AccessDenied" in str(refused.value)


def test_a_program_with_the_key_is_served_without_a_word_to_pages(engine):
    s3 = client(engine, "s3")
    s3.create_bucket(Bucket="guarded")
    s3.put_object(Bucket="guarded", Key="a b/ü+~.bin", Body=b"x" * 2_000_000)
    found = s3.get_object(Bucket="guarded", Key="a b/ü+~.bin")
    assert len(found["Body"].read()) == 2_000_000
    assert not any(name.startswith("access-control") for name in found["ResponseMetadata"]["HTTPHeaders"])
    assert client(engine, "sts").get_caller_identity()["Account"] == environment.ACCOUNT


def test_a_request_signed_an_hour_ago_is_refused(engine, monkeypatch):
    from botocore import auth

    late = dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)
    monkeypatch.setattr(auth, "get_current_datetime", lambda *_, **__: late)
    with pytest.raises(Rejected, match="another time"):
        sdk.caller("sqs", lambda: client(engine, "sqs"))("ListQueues", {})


def test_others_can_read_neither_the_key_nor_the_state(engine):
    assert stat.S_IMODE(engine.layout.state.stat().st_mode) == 0o700
    assert stat.S_IMODE(engine.layout.key.stat().st_mode) == 0o600
    secret = engine.env()["AWS_SECRET_ACCESS_KEY"]
    assert secret not in Path(f"/proc/{engine.record.pid}/cmdline").read_text()
    assert secret not in engine.layout.record.read_text()


def test_the_engine_listens_on_the_guarded_port_alone(engine):
    """Every way in leads through the guard: the engine's processes listen on one port, on loopback."""
    inodes = set()
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and _group(process) == engine.record.pid:
            for file in (process / "fd").iterdir():
                link = str(file.readlink())
                inodes |= {link[8:-1]} if link.startswith("socket:[") else set()
    listening = set()
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[9] in inodes and fields[3] in ("0A", "07"):
                address, port = fields[1].rsplit(":", 1)
                listening.add((table, address, int(port, 16)))
    assert listening == {("tcp", "0100007F", engine.port)}


def _group(process):
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[2])
    except OSError:
        return None
