"""The AWS that a function under the emulator speaks to: moto on loopback."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config

from offload.aws.table import JobTable
from offload.core.manifest import INDEX, Manifest
from offload.core.messages.message import Message

REGION, ACCOUNT = "us-east-1", "123456789012"


@dataclass(frozen=True)
class Sent:
    """A message that was sent, received, and is now in the hands of a function."""

    job_id: str
    record: dict[str, Any]

    @property
    def message_id(self) -> str:
        return self.record["messageId"]


class Aws:
    """moto on loopback, with the job table and a queue."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.manifest = Manifest(
            stack="rie",
            account=ACCOUNT,
            region=REGION,
            table=f"jobs-{uuid.uuid4().hex}",  # moto keeps what other tests made in this process
            bucket="rie",
            tasks={},
            timers={"group": "rie", "role": "arn:aws:iam::123456789012:role/rie"},
        )
        given = {
            "region_name": REGION,
            "endpoint_url": url,
            "aws_access_key_id": "test",
            "aws_secret_access_key": "test",
        }
        quick = Config(retries={"total_max_attempts": 1})
        self._sqs = boto3.client("sqs", config=quick, **given)
        self._dynamodb = boto3.client("dynamodb", config=quick, **given)
        self._dynamodb.create_table(
            TableName=self.manifest.table,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[
                {"AttributeName": "id", "AttributeType": "S"},
                {"AttributeName": "idx", "AttributeType": "S"},
                {"AttributeName": "idx_at", "AttributeType": "N"},
            ],
            GlobalSecondaryIndexes=[
                {
                    "IndexName": INDEX,
                    "KeySchema": [
                        {"AttributeName": "idx", "KeyType": "HASH"},
                        {"AttributeName": "idx_at", "KeyType": "RANGE"},
                    ],
                    "Projection": {"ProjectionType": "ALL"},
                }
            ],
        )
        self.queue, self._url = "", ""
        self._table = JobTable(self._read, self.manifest.table)

    def _read(self, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        assert operation == "GetItem"
        return self._dynamodb.get_item(**params)

    def new_queue(self) -> None:
        """Leave the messages of the test before behind."""
        self.queue = f"rie-{uuid.uuid4().hex[:8]}"
        attributes = {"VisibilityTimeout": "600"}
        self._url = self._sqs.create_queue(QueueName=self.queue, Attributes=attributes)["QueueUrl"]

    def close(self) -> None:
        self._sqs.close()
        self._dynamodb.close()

    def send(self, **payload: Any) -> Sent:
        """Send a job and receive its message, as Lambda's poller does."""
        job_id = f"job-{uuid.uuid4().hex[:8]}"
        return self.send_raw(Message(payload=payload, id=job_id).encode(), job_id)

    def send_raw(self, body: str, job_id: str | None = None) -> Sent:
        message_id = self._sqs.send_message(QueueUrl=self._url, MessageBody=body)["MessageId"]
        record = self.receive()[message_id]
        return Sent(job_id or message_id, record)

    def receive(self) -> dict[str, dict[str, Any]]:
        """Receive what is visible; event records by message id."""
        answer = self._sqs.receive_message(
            QueueUrl=self._url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"]
        )
        return {raw["MessageId"]: self._record(raw) for raw in answer.get("Messages", [])}

    def _record(self, raw: dict[str, Any]) -> dict[str, Any]:
        return {
            "messageId": raw["MessageId"],
            "receiptHandle": raw["ReceiptHandle"],
            "body": raw["Body"],
            "attributes": raw["Attributes"],
            "messageAttributes": {},
            "md5OfBody": raw["MD5OfBody"],
            "eventSource": "aws:sqs",
            "eventSourceARN": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{self.queue}",
            "awsRegion": REGION,
        }

    def job(self, sent: Sent) -> dict[str, Any] | None:
        """Read a job's record."""
        return self._table.get(sent.job_id)


def batch(*sent: Sent) -> dict[str, Any]:
    return {"Records": [one.record for one in sent]}


def failures(*sent: Sent) -> dict[str, Any]:
    return {"batchItemFailures": [{"itemIdentifier": one.message_id} for one in sent]}
