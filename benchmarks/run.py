"""One run: build both bundles, then measure in turns, so that whatever else the machine does meets both alike."""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3

from benchmarks import bulk, bundles, jobs
from benchmarks.figures import Figure
from benchmarks.processes import ACCOUNT, REGION, Endpoint, Handler, Side, endpoint, environment
from benchmarks.twins import through_the_twins
from offload.client import Client
from offload.core.manifest import Manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

IMPORT_MARK, CPU_MARK, UNITS_MARK = 0.6, 0.7, 0.6
"""Of the stock handler's figure, by the median ratio."""

_QUEUE, _STOCK_QUEUE = "bench-send_receipt", "stock"
_JOBS, _STOCK_JOBS, _STOCK_KEYS = "bench-jobs", "stock-jobs", "stock-idempotency"
_MANIFEST = Manifest(
    stack="bench",
    account=ACCOUNT,
    region=REGION,
    table=_JOBS,
    bucket="bench",
    tasks={"send_receipt": {}},
    timers={"group": "bench", "role": "arn:aws:iam::123456789012:role/bench"},
)
_WARM_UP = 5


def run(*, imports: int, batches: int, rounds: int, note: Callable[[str], None]) -> list[Figure]:
    """Measure everything.

    Args:
        imports: Fresh processes of each side.
        batches: Batches of ten of each side, after a warm-up.
        rounds: Rounds of many jobs that each side enqueues, after a warm-up.
        note: Told what is going on.
    """
    with tempfile.TemporaryDirectory() as folder, endpoint() as aws, _credentials(aws):
        note("building the two bundles")
        ours, stock = _sides(Path(folder), aws)
        _create(aws)
        note(f"importing each {imports} times")
        figures = [_imports(ours, stock, imports)]
        note(f"handing each {batches} batches of {jobs.BATCH}")
        with ours.running() as our_handler, stock.running() as stock_handler:
            figures.append(_cpu(our_handler, stock_handler, batches))
            note("counting calls and write units")
            figures += _bills(our_handler, stock_handler, aws)
        note(f"enqueueing {bulk.JOBS} jobs at once, {rounds} times each")
        figures += bulk.bulk(_client(), aws, queue=_STOCK_QUEUE, table=_STOCK_JOBS, rounds=rounds)
    note("running many jobs in memory")
    return [*figures, through_the_twins()]


def _sides(folder: Path, aws: Endpoint) -> tuple[Side, Side]:
    ours, stock = bundles.ours(folder / "ours"), bundles.stock(folder / "stock")
    return (
        Side(
            "Offload",
            ours,
            "offload.runtime.entry",
            {
                "AWS_ENDPOINT_URL": aws.url,
                "LAMBDA_TASK_ROOT": str(ours),
                "OFFLOAD_TASK": "send_receipt",
                "OFFLOAD_MANIFEST": _MANIFEST.dump(),
            },
        ),
        Side("stock handler", stock, "stock.handler", {"AWS_ENDPOINT_URL": aws.url, **_stock_variables(aws)}),
    )


def _stock_variables(aws: Endpoint) -> dict[str, str]:
    return {
        "JOBS_TABLE": _STOCK_JOBS,
        "IDEMPOTENCY_TABLE": _STOCK_KEYS,
        "QUEUE_URL": f"{aws.url}/{ACCOUNT}/{_STOCK_QUEUE}",
    }


@contextmanager
def _credentials(aws: Endpoint) -> Iterator[None]:
    """Point this process, which enqueues, at the endpoint."""
    before = dict(os.environ)
    os.environ.update(environment(AWS_ENDPOINT_URL=aws.url, **_stock_variables(aws)))
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _create(aws: Endpoint) -> None:
    tables = boto3.client("dynamodb")
    for table in (_JOBS, _STOCK_JOBS, _STOCK_KEYS):
        tables.create_table(
            TableName=table,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
    for queue in (_QUEUE, _STOCK_QUEUE):
        boto3.client("sqs").create_queue(QueueName=queue)
    aws.ledger()


def _imports(ours: Side, stock: Side, count: int) -> Figure:
    ours.import_cpu(), stock.import_cpu()  # the first reads the files from the disk
    pairs = [(ours.import_cpu(), stock.import_cpu()) for _ in range(count)]
    return Figure("import, CPU ms", *_columns(pairs), mark=IMPORT_MARK)


def _cpu(ours: Handler, stock: Handler, count: int) -> Figure:
    pairs = [
        (ours.handle(_bare(jobs.ours, _QUEUE)) / jobs.BATCH, stock.handle(_bare(jobs.stock, _STOCK_QUEUE)) / jobs.BATCH)
        for _ in range(count + _WARM_UP)
    ]
    return Figure("warm, CPU ms per message at batch 10", *_columns(pairs[_WARM_UP:]), mark=CPU_MARK)


def _bare(body: Callable[[str, int], str], queue: str) -> dict[str, Any]:
    """Return an event of jobs that were sent without a producer's record."""
    return jobs.event([body(str(uuid.uuid4()), number) for number in range(jobs.BATCH)], queue)


def _bills(ours: Handler, stock: Handler, aws: Endpoint) -> list[Figure]:
    """Count what three batches of each side call and write: enqueued by its producer, and sent bare."""
    client = _client()
    sys.path.insert(0, str(bundles.HERE))
    stock_enqueue = importlib.import_module("stock.producer").enqueue
    figures = []
    for how in ("enqueued", 'enqueued with track="start"', "bare"):
        calls: list[tuple[float, float]] = []
        units: list[tuple[float, float]] = []
        for _ in range(3):
            bills = []
            for handler, body, queue, enqueue in (
                (ours, jobs.ours, _QUEUE, lambda given, how=how: _enqueued(client, given, how)),
                (stock, jobs.stock, _STOCK_QUEUE, stock_enqueue),
            ):
                aws.ledger()
                send = enqueue if how != "bare" else lambda _: str(uuid.uuid4())
                bodies = [body(send(jobs.payload(number)), number) for number in range(jobs.BATCH)]
                handler.handle(jobs.event(bodies, queue))
                bills.append(aws.ledger())
            units.append((bills[0]["write units"] / jobs.BATCH, bills[1]["write units"] / jobs.BATCH))
            calls.append((_calls(bills[0]), _calls(bills[1])))
        figures.append(Figure(f"AWS calls per job, {how}", *_columns(calls)))
        figures.append(Figure(f"write units per job, {how}", *_columns(units), mark=UNITS_MARK))
    return figures


def _enqueued(client: Client, given: dict[str, Any], how: str) -> str:
    return client.enqueue("send_receipt", given, track="enqueue" if how == "enqueued" else "start").id


def _calls(bill: dict[str, int]) -> float:
    return sum(count for name, count in bill.items() if name != "write units") / jobs.BATCH


def _client() -> Client:
    from offload.aws import sdk
    from offload.aws.blobs import S3Blobs
    from offload.aws.queues import SqsQueues
    from offload.aws.table import JobTable
    from offload.aws.timers import SchedulerTimers

    return Client(
        _MANIFEST,
        store=JobTable(sdk.caller("dynamodb"), _MANIFEST.table),
        queues=SqsQueues(sdk.caller("sqs"), account=ACCOUNT, region=REGION),
        blobs=S3Blobs(_MANIFEST.bucket),
        timers=SchedulerTimers(_MANIFEST),
    )


def _columns(pairs: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [ours for ours, _ in pairs], [stock for _, stock in pairs]
