"""Jobs for both sides: the same payload, sent bare or by each side's own producer."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

BATCH = 10


def payload(number: int) -> dict[str, Any]:
    """Return the arguments of a job, about 200 bytes."""
    lines = [f"{count} x article {count * 7919 % 1000:03d}" for count in range(1, 7)]
    return {"order": f"order-{number:06d}", "amount": 100 + number / 4, "currency": "NOK", "lines": lines}


def event(bodies: list[str], queue: str) -> dict[str, Any]:
    """Return the event Lambda's poller makes of messages."""
    now = str(time.time_ns() // 1_000_000)
    return {"Records": [_record(body, queue, now) for body in bodies]}


def ours(job_id: str, number: int) -> str:
    """Return the body of a job for our worker."""
    return json.dumps({"version": 1, "id": job_id, "task": "send_receipt", "payload": payload(number)})


def stock(job_id: str, number: int) -> str:
    """Return the body of a job for the stock handler."""
    return json.dumps({"job_id": job_id, **payload(number)})


def _record(body: str, queue: str, now: str) -> dict[str, Any]:
    return {
        "messageId": str(uuid.uuid4()),
        "receiptHandle": uuid.uuid4().hex * 4,
        "body": body,
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": now,
            "SenderId": "AIDAEXAMPLE",
            "ApproximateFirstReceiveTimestamp": now,
        },
        "messageAttributes": {},
        "md5OfBody": "",
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:us-east-1:123456789012:{queue}",
        "awsRegion": "us-east-1",
    }
