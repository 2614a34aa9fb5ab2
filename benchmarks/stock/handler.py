"""A handler wired by hand from the documentation of Powertools and boto3, asked for the same guarantees.

A job's status can be read at any time, its attempts are counted, its result is kept, a duplicate does not run again, a
failed job waits longer each time. Wherever the documentation leaves a choice, the cheaper one was taken: no tracer, one
DynamoDB client for the idempotency layer and the job records, the low-level client instead of the resource.
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer, IdempotencyConfig, idempotent_function
from pydantic import BaseModel

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from aws_lambda_powertools.utilities.typing import LambdaContext

JOBS = os.environ["JOBS_TABLE"]

logger = Logger(service="send_receipt")
metrics = Metrics(namespace="Stock", service="send_receipt")
dynamodb = boto3.client("dynamodb")
sqs = boto3.client("sqs")
processor = BatchProcessor(event_type=EventType.SQS)
layer = DynamoDBPersistenceLayer(table_name=os.environ["IDEMPOTENCY_TABLE"], boto3_client=dynamodb)
config = IdempotencyConfig(event_key_jmespath="job_id", expires_after_seconds=35 * 86_400)


class Order(BaseModel):
    job_id: str
    order: str
    amount: float
    lines: list[str]
    currency: str = "EUR"


class Receipt(BaseModel):
    order: str
    total: float


@idempotent_function(data_keyword_argument="job", config=config, persistence_store=layer)
def send_receipt(*, job: dict[str, Any], record: SQSRecord) -> dict[str, Any]:
    order = Order.model_validate(job)
    started = time.time()
    running(order.job_id)
    try:
        receipt = Receipt(order=f"{order.order}/{order.currency}/{len(order.lines)}", total=order.amount * 1.25)
    except Exception as error:
        ended(order.job_id, "FAILED", repr(error))
        back_off(record)
        raise
    ended(order.job_id, "SUCCEEDED", receipt.model_dump_json())
    elapsed = (time.time() - started) * 1000
    logger.info("job ended", extra={"job_id": order.job_id, "state": "SUCCEEDED", "duration_ms": elapsed})
    metrics.add_metric("JobsSucceeded", MetricUnit.Count, 1)
    metrics.add_metric("JobDuration", MetricUnit.Milliseconds, elapsed)
    metrics.add_metric("QueueLatency", MetricUnit.Milliseconds, started * 1000 - int(record.attributes.sent_timestamp))
    return receipt.model_dump(mode="json")


def running(job_id: str) -> None:
    dynamodb.update_item(
        TableName=JOBS,
        Key={"id": {"S": job_id}},
        UpdateExpression="SET #state = :state, started_at = :now ADD attempts :one",
        ExpressionAttributeNames={"#state": "state"},
        ExpressionAttributeValues={":state": {"S": "RUNNING"}, ":now": {"N": f"{time.time():.3f}"}, ":one": {"N": "1"}},
    )


def ended(job_id: str, state: str, result: str) -> None:
    dynamodb.update_item(
        TableName=JOBS,
        Key={"id": {"S": job_id}},
        UpdateExpression="SET #state = :state, finished_at = :now, #result = :result",
        ExpressionAttributeNames={"#state": "state", "#result": "result"},
        ExpressionAttributeValues={
            ":state": {"S": state},
            ":now": {"N": f"{time.time():.3f}"},
            ":result": {"S": result},
        },
    )


def back_off(record: SQSRecord) -> None:
    sqs.change_message_visibility(
        QueueUrl=os.environ["QUEUE_URL"],
        ReceiptHandle=record.receipt_handle,
        VisibilityTimeout=min(900, 10 * 2 ** int(record.attributes.approximate_receive_count)),
    )


def record_handler(record: SQSRecord) -> dict[str, Any]:
    return send_receipt(job=json.loads(record.body), record=record)


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> Any:
    config.register_lambda_context(context)
    return process_partial_response(event=event, record_handler=record_handler, processor=processor, context=context)
