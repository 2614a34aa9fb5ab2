"""A table, a queue and a bucket that accept and never answer, through the worker as Lambda starts it.

The worker returns in time, attempts are honest, and nothing is acknowledged or dead-lettered without a reason.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from offload.core.messages.message import Message
from offload.core.retention import payload_key
from tests.rie.endpoint import REGION, Aws, batch, failures

HERE = Path(__file__).parent
SECONDS = 8
"""Of each invocation. The probe's soft limit is two seconds."""
SPARED_MS = 900
"""A second, less what a busy machine takes to look at the clock."""


def reference(job_id):
    return {"bucket": "rie", "key": payload_key("probe", job_id, 0)}


@pytest.fixture(scope="module")
def aws():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        made = Aws(f"http://{host}:{port}")
        s3 = boto3.client("s3", region_name=REGION, endpoint_url=made.url)
        s3.create_bucket(Bucket="rie")
        for job_id in ("large-0", "large-1", "read"):
            s3.put_object(Bucket="rie", Key=reference(job_id)["key"], Body=b"{}")
        yield made
        s3.close()
        made.close()
    server.stop()


@pytest.fixture
def silent():
    """Address of an endpoint that accepts, reads, and never answers."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    kept = []

    def accept():
        while True:
            try:
                kept.append(listener.accept()[0])
            except OSError:
                return

    threading.Thread(target=accept, daemon=True).start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    for each in kept:
        each.close()


@pytest.fixture
def invoke(aws, silent):
    """Return a caller of the worker; it is told which services are silent."""
    aws.new_queue()

    def call(event, *hanging, seconds=SECONDS):
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(sys.path),
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_ENDPOINT_URL": aws.url,
            "LAMBDA_TASK_ROOT": str(HERE.parent / "rie"),
            "OFFLOAD_TASK": "probe",
            "OFFLOAD_MANIFEST": aws.manifest.dump(),
            **{f"AWS_ENDPOINT_URL_{service.upper()}": silent for service in hanging},
        }
        done = subprocess.run(
            [sys.executable, str(HERE / "invocation.py"), str(seconds)],
            input=json.dumps(event),
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout)

    return call


def test_with_all_services_at_hand_the_batch_is_done_without_an_sdk(aws, invoke):
    sent = [aws.send() for _ in range(3)]
    answer = invoke(batch(*sent))
    assert answer["response"] == failures()
    assert [aws.job(each)["state"] for each in sent] == ["SUCCEEDED"] * 3
    assert answer["loaded"] == []


def test_a_table_that_hangs_costs_no_message_and_no_attempt(aws, invoke):
    sent = [aws.send() for _ in range(10)]
    answer = invoke(batch(*sent), "dynamodb")
    assert answer["response"] == failures(*sent)
    assert answer["left_ms"] >= SPARED_MS
    assert [aws.job(each) for each in sent] == [None] * 10
    # Each message is back in its queue before its visibility timeout of ten minutes.
    errors = [line for line in answer["logged"] if line.get("message") == "service error"]
    assert {line["error_type"] for line in errors} == {"Unavailable"}


def test_a_queue_that_hangs_costs_no_message_and_one_attempt_for_each_run(aws, invoke):
    sent = [aws.send(do="raise") for _ in range(3)]
    answer = invoke(batch(*sent), "sqs")
    assert answer["response"] == failures(*sent)
    assert answer["left_ms"] >= SPARED_MS
    jobs = [aws.job(each) for each in sent]
    assert jobs[0]["state"] == "RETRYING"
    assert jobs[0]["attempt"] == 1
    assert all(job is None or (job["state"], job["attempt"]) == ("RETRYING", 1) for job in jobs)


def test_a_bucket_that_hangs_costs_no_message_and_no_attempt(aws, invoke):
    large = [
        aws.send_raw(Message(payload=None, payload_ref=reference(f"large-{n}"), id=f"large-{n}").encode(), f"large-{n}")
        for n in range(2)
    ]
    small = aws.send()
    answer = invoke(batch(*large, small), "s3")
    assert answer["response"] in (failures(*large), failures(*large, small))
    assert answer["left_ms"] >= SPARED_MS
    assert [aws.job(each) for each in large] == [None] * 2


def test_everything_that_hangs_costs_no_message_and_no_attempt(aws, invoke):
    sent = [aws.send() for _ in range(10)]
    answer = invoke(batch(*sent), "dynamodb", "sqs", "s3")
    assert answer["response"] == failures(*sent)
    assert answer["left_ms"] >= SPARED_MS
    assert [aws.job(each) for each in sent] == [None] * 10


def test_a_payload_is_read_without_an_sdk(aws, invoke):
    sent = aws.send_raw(Message(payload=None, payload_ref=reference("read"), id="read").encode(), "read")
    answer = invoke(batch(sent))
    assert answer["response"] == failures()
    assert answer["loaded"] == []
    assert aws.job(sent)["state"] == "SUCCEEDED"
