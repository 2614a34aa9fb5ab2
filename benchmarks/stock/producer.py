"""The stock handler's producer: the job's record first, so that its status can be read, then the message."""

from __future__ import annotations

import json
import os
import time
import uuid
from typing import Any

import boto3

dynamodb = boto3.client("dynamodb")
sqs = boto3.client("sqs")


def enqueue(payload: dict[str, Any]) -> str:
    job_id = str(uuid.uuid4())
    dynamodb.put_item(
        TableName=os.environ["JOBS_TABLE"],
        Item={"id": {"S": job_id}, "state": {"S": "PENDING"}, "created_at": {"N": f"{time.time():.3f}"}},
    )
    sqs.send_message(QueueUrl=os.environ["QUEUE_URL"], MessageBody=json.dumps({"job_id": job_id, **payload}))
    return job_id
