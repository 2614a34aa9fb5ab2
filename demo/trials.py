"""The demo's jobs, and what must become of each."""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3

from offload import State

if TYPE_CHECKING:
    from typing import Unpack

    from offload import Client, EnqueueOptions, Job

SENDER = "demo@example.org"
DEPLOYER = {
    "OFFLOAD_EMAIL_SENDER": SENDER,
    "OFFLOAD_WEBHOOK_ALLOW_PRIVATE": "127.0.0.1",
    "OFFLOAD_WEBHOOK_PORTS": "1024-65535",
}
"""What the deploying shell sets for the tasks: who mail comes from, and that webhooks may reach this machine."""

ROWS = 20_000
_DELAY = 4
_SECRET = "/offload/{stack}/webhooks/127.0.0.1"  # noqa: S105 - a parameter's name


@dataclass(frozen=True, slots=True)
class Expected:
    """What must become of a job.

    Attributes:
        state: How it ends.
        attempts: How often its function starts.
        dead_letter: Whether its message must lie in the dead-letter queue.
        says: A part of the reason that must be recorded.
    """

    state: State = State.SUCCEEDED
    attempts: int = 1
    dead_letter: bool = False
    says: str = ""

    def __str__(self) -> str:
        """Tell it in a few words."""
        text = f"{self.state}" if self.attempts <= 1 else f"{self.state} at attempt {self.attempts}"
        return f"{text}, in the DLQ" if self.dead_letter else text


@dataclass(frozen=True, slots=True)
class Trial:
    """One job of the demo.

    Attributes:
        title: What it shows.
        task: Its task.
        job_id: Its id.
        expected: What must become of it.
    """

    title: str
    task: str
    job_id: str
    expected: Expected


def judge(expected: Expected, job: Job | None, *, dead_letter: bool) -> str | None:
    """Compare how a job ended with what was expected.

    Returns:
        None when it ended so, else the first difference in a few words.
    """
    if job is None:
        return "no record of it"
    if job.state is not expected.state:
        return f"is {job.state}, not {expected.state}"
    if job.attempt != expected.attempts:
        return f"took {job.attempt} attempts, not {expected.attempts}"
    if expected.says and expected.says not in (job.reason or ""):
        return f"its reason lacks {expected.says!r}"
    if expected.dead_letter and not dead_letter:
        return "its message is not in the DLQ"
    return None


def enqueue(client: Client, receiver: str) -> list[Trial]:
    """Put what the jobs need in place and enqueue them.

    Args:
        client: The deployed stack; the environment of this process must point at it too.
        receiver: URL of the webhook receiver.
    """
    s3, sqs, stack = boto3.client("s3"), boto3.client("sqs"), client.manifest
    boto3.client("sesv2").create_email_identity(EmailIdentity=SENDER)
    boto3.client("ssm").put_parameter(
        Name=_SECRET.format(stack=stack.stack), Value="the-secret-of-the-demo", Type="SecureString", Overwrite=True
    )
    s3.put_object(Bucket=stack.bucket, Key="uploads/harbour.png", Body=picture(1200, 800))
    s3.put_object(Bucket=stack.bucket, Key="uploads/letter.png", Body=b"Dear sir or madam, I am not a picture.")
    s3.put_object(Bucket=stack.bucket, Key="uploads/orders.jsonl", Body=_orders())
    mail = {"to": "ann@example.org", "subject": "Hello", "body": "This mail was sent by a job."}
    export = {
        "source": {"kind": "json_lines", "key": "uploads/orders.jsonl"},
        "columns": ["id", "customer", "total"],
        "destination": "exports/orders.csv",
    }
    thumbnails = {"source": "uploads/harbour.png", "widths": [1000, 600, 300, 100]}
    hook = {"url": receiver, "event": "order.paid", "data": {"order": 42}}
    dead = State.FAILED

    def trial(
        title: str, task: str, payload: dict[str, Any], expected: Expected, **options: Unpack[EnqueueOptions]
    ) -> Trial:
        return Trial(title, task, client.enqueue(task, payload, **options).id, expected)

    def message(title: str, task: str, body: str, expected: Expected) -> Trial:
        url = sqs.get_queue_url(QueueName=f"{stack.stack}-{task}")["QueueUrl"]
        return Trial(title, task, sqs.send_message(QueueUrl=url, MessageBody=body)["MessageId"], expected)

    trials = [
        trial("the receiver is busy at first", "deliver_webhook", hook, Expected(attempts=2)),
        trial("four thumbnails", "resize_image", thumbnails, Expected()),
        trial(f"{ROWS:,} rows to CSV", "export_report", export, Expected()),
        trial(
            "not a picture: no use trying again",
            "resize_image",
            {"source": "uploads/letter.png", "widths": [100]},
            Expected(dead, dead_letter=True, says="Permanent"),
        ),
        trial("a mail", "send_email", mail, Expected()),
        trial(f"a mail in {_DELAY} seconds", "send_email", mail, Expected(), delay=_DELAY),
        message("a message from any program", "send_email", json.dumps({"payload": mail}), Expected()),
        message("not even JSON", "send_email", "hello?", Expected(dead, attempts=0, dead_letter=True)),
        trial("what a clean-up would remove", "cleanup_expired", _CLEANUP, Expected()),
    ]
    later = trial("cancelled before its time", "send_email", mail, Expected(State.CANCELLED, attempts=0), delay=600)
    client.cancel(later.job_id)
    return [*trials, later]


_CLEANUP = {"prefix": "exports/", "older_than_days": 30, "dry_run": True}


def picture(width: int, height: int) -> bytes:
    """Draw a gradient as a PNG (RFC 2083: 8 bits, truecolour, no filter)."""
    reds = [x * 255 // width for x in range(width)]
    rows = []
    for y in range(height):
        green = y * 255 // height
        rows.append(b"\0" + b"".join(bytes((red, green, 160)) for red in reds))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(b"".join(rows), 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def _orders() -> bytes:
    lines = (
        json.dumps({"id": number, "customer": f"customer {number % 97}", "total": number * 3 % 1000})
        for number in range(ROWS)
    )
    return "\n".join(lines).encode()
