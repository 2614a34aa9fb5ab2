"""Many jobs at once: the client against a plain boto3 loop, by calls and by the processor time of the producer."""

from __future__ import annotations

import json
import time
import uuid
from typing import TYPE_CHECKING, Any

import boto3

from benchmarks.figures import Figure
from benchmarks.jobs import payload
from offload import use

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.processes import Endpoint
    from offload import Client

JOBS = 200
CALLS_MARK, CPU_MARK = 0.15, 0.35
"""Calls a job, and processor time by that of the loop."""

_ENTRIES = 10


def bulk(client: Client, aws: Endpoint, *, queue: str, table: str, rounds: int) -> list[Figure]:
    """Enqueue many jobs by turns, and count.

    Args:
        client: Our client, whose stack has the task.
        aws: The endpoint.
        queue: Name of the loop's queue.
        table: Name of the loop's table.
        rounds: Rounds of each side, after a first one that is not counted.
    """
    loop = _loop(queue, table)
    before = use(client)
    try:
        measured = [(_measure(_ours, aws), _measure(loop, aws)) for _ in range(rounds + 1)][1:]
        tracked = [(_measure(_tracked_from_start, aws), _measure(loop, aws)) for _ in range(2)][1:]
    finally:
        use(before)
    calls = [ours[0] for ours, _ in measured], [stock[0] for _, stock in measured]
    cpu = [ours[1] for ours, _ in measured], [stock[1] for _, stock in measured]
    started = [ours[0] for ours, _ in tracked], [stock[0] for _, stock in tracked]
    return [
        Figure("AWS calls per job, many at once", *calls, limit=CALLS_MARK),
        Figure("enqueue, CPU ms per job, many at once", *cpu, mark=CPU_MARK),
        Figure('AWS calls per job, many at once, track="start"', *started),
    ]


def _measure(enqueue: Callable[[list[dict[str, Any]]], int], aws: Endpoint) -> tuple[float, float]:
    """Return the calls and the milliseconds of processor time a job, all threads included."""
    jobs = [payload(number) for number in range(JOBS)]
    aws.ledger()
    began = time.process_time()
    count = enqueue(jobs)
    used = time.process_time() - began
    assert count == JOBS
    calls = sum(number for name, number in aws.ledger().items() if name != "write units")
    return calls / JOBS, used * 1000 / JOBS


def _ours(jobs: list[dict[str, Any]]) -> int:
    from benchmarks.ours.functions.send_receipt.handler import send_receipt

    return len(send_receipt.delay_many(jobs))


def _tracked_from_start(jobs: list[dict[str, Any]]) -> int:
    from benchmarks.ours.functions.send_receipt.handler import send_receipt

    return len(send_receipt.options(track="start").delay_many(jobs))


def _loop(queue: str, table: str) -> Callable[[list[dict[str, Any]]], int]:
    """Return the loop that the documentation of boto3 leads to; it neither checks a payload nor tries again."""
    sqs, dynamodb = boto3.client("sqs"), boto3.client("dynamodb")
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]

    def enqueue(jobs: list[dict[str, Any]]) -> int:
        sent = 0
        for start in range(0, len(jobs), _ENTRIES):
            ids = [str(uuid.uuid4()) for _ in jobs[start : start + _ENTRIES]]
            for job_id in ids:
                dynamodb.put_item(
                    TableName=table,
                    Item={"id": {"S": job_id}, "state": {"S": "PENDING"}, "created_at": {"N": f"{time.time():.3f}"}},
                )
            bodies = zip(ids, jobs[start : start + _ENTRIES], strict=True)
            entries = [
                {"Id": str(number), "MessageBody": json.dumps({"job_id": job_id, **given})}
                for number, (job_id, given) in enumerate(bodies)
            ]
            sent += len(sqs.send_message_batch(QueueUrl=url, Entries=entries)["Successful"])
        return sent

    return enqueue
