"""The tasks of this repository, each through the deployed stack."""

from __future__ import annotations

import http.server
import io
import json
import threading
from typing import ClassVar

import pytest
from PIL import Image

from functions.deliver_webhook.signature import verify
from offload import JobFailed, State
from offload.aws import sdk
from offload.core.messages.message import Message
from offload.core.ports import OutgoingMessage

PATIENCE = 60
SECRET = "a-shared-secret-of-the-test"


@pytest.fixture
def bucket(stack):
    return stack.client.manifest.bucket


@pytest.fixture
def receiver():
    """A webhook receiver on loopback that answers as told and keeps what it was sent."""

    class Receiver(http.server.BaseHTTPRequestHandler):
        answers: ClassVar[list[tuple[int, dict[str, str]]]] = []
        seen: ClassVar[list[tuple[dict[str, str], bytes]]] = []

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.seen.append((dict(self.headers), body))
            status, headers = self.answers.pop(0)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    Receiver.url = f"http://127.0.0.1:{server.server_port}/hook"
    yield Receiver
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def _secret(stack):
    parameter = {"Name": "/offload/offload/webhooks/127.0.0.1", "Value": SECRET, "Type": "SecureString"}
    sdk.client("ssm").put_parameter(**parameter, Overwrite=True)


def test_send_email(stack):
    sdk.client("sesv2").create_email_identity(EmailIdentity="sender@example.com")
    job = stack.client.enqueue(
        "send_email",
        {"to": "ann@example.org", "subject": "Grüße", "body": "Hello", "html": "<p>Hello</p>"},
    )
    assert job.result(timeout=PATIENCE)["message_id"]


def test_an_email_to_nobody_is_refused_before_any_attempt(stack):
    job = stack.client.enqueue("send_email", {"to": "nobody\nBcc: all@example.org", "subject": "x", "body": ""})
    record = job.wait(timeout=PATIENCE)
    assert (record.state, record.attempt) == (State.FAILED, 0)


def test_a_webhook_is_retried_and_signed(stack, receiver):
    receiver.answers[:] = [(503, {"Retry-After": "1"}), (200, {})]
    receiver.seen.clear()
    job = stack.client.enqueue("deliver_webhook", {"url": receiver.url, "event": "order.paid", "data": {"order": 42}})
    assert job.result(timeout=PATIENCE) == {"status": 200, "attempt": 2}
    assert len(receiver.seen) == 2
    for headers, body in receiver.seen:
        verify(body, headers["Offload-Signature"], SECRET, url=receiver.url)
        assert headers["Idempotency-Key"] == job.id
        assert json.loads(body)["data"] == {"order": 42}


def test_a_webhook_that_is_gone_fails_at_once(stack, receiver):
    receiver.answers[:] = [(410, {})]
    job = stack.client.enqueue("deliver_webhook", {"url": receiver.url, "event": "order.paid", "data": {}})
    with pytest.raises(JobFailed, match="answered 410"):
        job.result(timeout=PATIENCE)
    assert job.record().attempt == 1


def test_resize_image(stack, bucket):
    data = io.BytesIO()
    Image.new("RGB", (640, 480), "teal").save(data, "JPEG")
    sdk.client("s3").put_object(Bucket=bucket, Key="uploads/cat.jpg", Body=data.getvalue())
    job = stack.client.enqueue("resize_image", {"source": "uploads/cat.jpg", "widths": [320, 64]})
    made = job.result(timeout=PATIENCE)
    assert [thumbnail["width"] for thumbnail in made] == [320, 64]
    stored = sdk.client("s3").get_object(Bucket=bucket, Key=made[0]["key"])["Body"].read()
    assert Image.open(io.BytesIO(stored)).size == (320, 240)


def test_a_corrupt_image_fails_at_once(stack, bucket):
    sdk.client("s3").put_object(Bucket=bucket, Key="uploads/broken.jpg", Body=b"\xff\xd8\xff not a picture")
    job = stack.client.enqueue("resize_image", {"source": "uploads/broken.jpg", "widths": [64]})
    record = job.wait(timeout=PATIENCE)
    assert (record.state, record.attempt) == (State.FAILED, 1)
    assert record.error is not None
    assert record.error["type"] == "Permanent"


def test_export_report(stack, bucket):
    lines = "\n".join(json.dumps({"name": f"row {n}", "sum": n, "note": "=1+1"}) for n in range(5000))
    sdk.client("s3").put_object(Bucket=bucket, Key="uploads/rows.jsonl", Body=lines.encode())
    job = stack.client.enqueue(
        "export_report",
        {
            "source": {"kind": "json_lines", "key": "uploads/rows.jsonl"},
            "columns": ["name", "note", "sum"],
            "destination": "exports/rows.csv",
        },
    )
    report = job.result(timeout=PATIENCE)
    assert report["rows"] == 5000
    written = sdk.client("s3").get_object(Bucket=bucket, Key="exports/rows.csv")["Body"].read().decode()
    assert written.splitlines()[:2] == ["name,note,sum", "row 0,'=1+1,0"]
    assert len(written.splitlines()) == 5001
    progress = job.record().progress
    assert progress is not None
    assert progress["current"] == len(lines.encode())


def test_cleanup_expired_leaves_what_is_young(stack, bucket):
    sdk.client("s3").put_object(Bucket=bucket, Key="exports/young.csv", Body=b"x")
    job = stack.client.enqueue("cleanup_expired", {"prefix": "exports/", "older_than_days": 30})
    assert job.result(timeout=PATIENCE)["deleted"] == 0
    sdk.client("s3").head_object(Bucket=bucket, Key="exports/young.csv")


def test_cleanup_refuses_the_whole_bucket(stack):
    body = Message({"prefix": "", "older_than_days": 1}).encode()  # by name it would be refused before it is sent
    job_id = stack.client.queues.send("offload-cleanup_expired", OutgoingMessage(body))
    record = stack.client.wait(job_id, timeout=PATIENCE, task="cleanup_expired")
    assert (record.state, record.attempt) == (State.FAILED, 0)
