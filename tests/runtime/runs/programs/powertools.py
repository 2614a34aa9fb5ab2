"""Programs that use Powertools for themselves, beside the worker that uses it too."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import logging

from aws_lambda_powertools import Logger, Metrics, Tracer, single_metric
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.idempotency import IdempotencyConfig, idempotent_function
from aws_lambda_powertools.utilities.idempotency.exceptions import (
    IdempotencyAlreadyInProgressError,
    IdempotencyItemAlreadyExistsError,
    IdempotencyPersistenceLayerError,
)
from aws_lambda_powertools.utilities.idempotency.persistence.base import BasePersistenceLayer

from tests.runtime.runs.programs.table import program


class Store(BasePersistenceLayer):
    """Keeps nothing but the keys, or breaks."""

    def __init__(self, error=None):
        super().__init__()
        self.records, self.error = {}, error

    def _get_record(self, idempotency_key):
        return self.records[idempotency_key]

    def _put_record(self, data_record):
        if self.error is not None:
            raise self.error
        if data_record.idempotency_key in self.records:
            raise IdempotencyItemAlreadyExistsError(old_data_record=self.records[data_record.idempotency_key])
        self.records[data_record.idempotency_key] = data_record

    def _update_record(self, data_record):
        self.records[data_record.idempotency_key] = data_record

    def _delete_record(self, data_record):
        del self.records[data_record.idempotency_key]


def charge_with(store, note):
    @idempotent_function(data_keyword_argument="order", persistence_store=store, config=IdempotencyConfig())
    def charge(order):
        note(f"charged {order['id']}")
        if order["id"] < 0:
            raise ValueError("no such order")
        return {"charged": order["id"]}

    return charge


@program
def idempotency_of_its_own(note):
    charge = charge_with(Store(), note)
    return [charge(order={"id": 1}), charge(order={"id": 1}), charge(order={"id": 2})]


@program
def idempotency_of_its_own_that_breaks(note):
    charge_with(Store(ConnectionError("no table")), note)(order={"id": 1})


@program
def idempotency_of_its_own_that_is_in_progress(note):
    store = Store()
    charge = charge_with(store, note)
    charge(order={"id": 1})
    for record in store.records.values():
        record.status = "INPROGRESS"
    charge(order={"id": 1})


@program
def idempotency_errors_are_its_own(note):
    for kind in (IdempotencyPersistenceLayerError, IdempotencyAlreadyInProgressError):
        try:
            raise kind("mine")  # noqa: TRY301 - the point
        except kind as error:
            note(str(error))
    raise IdempotencyItemAlreadyExistsError


@program
def idempotency_of_what_fails(note):
    store = Store()
    try:
        charge_with(store, note)(order={"id": -1})
    except ValueError as error:
        return [str(error), len(store.records)]


@program
async def idempotency_in_an_async_function(note):
    charge = charge_with(Store(), note)
    return await asyncio.to_thread(charge, order={"id": 3})


def written(metrics):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        metrics.flush_metrics()
    entry = json.loads(out.getvalue())
    entry["_aws"]["Timestamp"] = 0
    return entry


@program
def metrics_of_its_own(note):
    metrics = Metrics(namespace="Shop", service="cart")
    metrics.add_dimension("shop", "north")
    metrics.add_metric("Sold", MetricUnit.Count, 2)
    shown = metrics.serialize_metric_set()
    note(shown["_aws"]["CloudWatchMetrics"])
    return written(metrics)


@program
def metrics_that_are_not_written(note):
    metrics = Metrics(namespace="Shop", service="cart")
    metrics.add_metric("Kept", MetricUnit.Count, 1)
    found = sorted(metrics.metric_set)
    metrics.clear_metrics()
    return found


@program
def default_dimensions_of_its_own(note):
    metrics = Metrics(namespace="Shop", service="cart")
    metrics.set_default_dimensions(stage="test")
    metrics.add_metric("Sold", MetricUnit.Count, 1)
    try:
        return written(metrics)
    finally:
        metrics.clear_default_dimensions()
        metrics.clear_metrics()


@program
def a_single_metric(note):
    with (
        contextlib.redirect_stdout(io.StringIO()) as out,
        single_metric(name="One", unit=MetricUnit.Count, value=1, namespace="Shop") as metric,
    ):
        metric.add_dimension("service", "single")
    entry = json.loads(out.getvalue())
    entry["_aws"]["Timestamp"] = 0
    return entry


@program
def a_powertools_logger(note):
    out = io.StringIO()
    logger = Logger(service="cart", stream=out, log_uncaught_exceptions=False)
    logger.append_keys(order=7)
    logger.info("sold")
    logger.remove_keys(["order"])
    entry = json.loads(out.getvalue().splitlines()[-1])
    del logging.Logger.manager.loggerDict[logger.name]  # Powertools sets a logger up once for all
    return [logger.name, entry["service"], entry["order"], entry["message"], entry["level"]]


@program
def a_powertools_logger_of_the_same_name_as_the_task(note):
    out = io.StringIO()
    logger = Logger(service="work", stream=out)
    logger.warning("mine")
    lines = out.getvalue().splitlines()
    del logging.Logger.manager.loggerDict[logger.name]  # Powertools sets a logger up once for all
    return [logger.name, len(lines), json.loads(lines[0])["message"]]


@program
def a_tracer(note):
    tracer = Tracer(service="cart", disabled=True)

    @tracer.capture_method
    def traced():
        note("traced")
        return 5

    return traced()


@program
def a_batch_of_its_own(note):
    processor = BatchProcessor(event_type=EventType.SQS)
    records = [
        {"messageId": str(number), "body": str(number), "eventSource": "aws:sqs", "receiptHandle": "r"}
        for number in range(3)
    ]

    def handle(record):
        if record.body == "1":
            raise ValueError("one")
        note(record.body)

    return process_partial_response({"Records": records}, handle, processor)
