"""What a job costs in write units, as the engine counts consumed capacity, indexes included."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from offload import Client, task
from offload.aws import sdk
from offload.aws.table import JobTable
from offload.core.clock import SystemClock, system_random
from offload.runtime.telemetry import Telemetry
from offload.runtime.worker import Worker


@task
def plain(to: str) -> str:
    """Return its argument."""
    return to


class Metered:
    """A transport that adds up the write units its answers report."""

    def __init__(self):
        self.units = 0.0
        self._call = sdk.caller("dynamodb")

    def __call__(self, operation, params):
        answer = self._call(operation, {**params, "ReturnConsumedCapacity": "INDEXES"})
        assert operation == "UpdateItem", "a plain job needs no other request"
        self.units += answer["ConsumedCapacity"]["CapacityUnits"]
        return answer


class Sent:
    """A queue that keeps what was sent."""

    def __init__(self):
        self.bodies = []

    def send(self, _queue, message):
        self.bodies.append(message.body)
        return "message-of-the-client"


class Context:
    def get_remaining_time_in_millis(self):
        return 60_000


@pytest.mark.parametrize(("tracked", "units"), [(True, 3), (False, 2)])
def test_a_plain_job_that_succeeds_costs(stack, tracked, units):
    meter, sent = Metered(), Sent()
    store = JobTable(meter, stack.client.manifest.table)
    manifest = stack.client.manifest
    if tracked:
        manifest = replace(manifest, tasks={"plain": ["default"]})
        client = Client(manifest, store=store, queues=sent, blobs=None, timers=None)
        job_id = client.enqueue("plain", {"to": "a"}).id
    else:
        job_id = "bare-message"
        sent.bodies.append('{"payload": {"to": "a"}}')
    now = SystemClock().now()
    worker = Worker(
        plain,
        store=store,
        queues=sent,
        blobs=None,
        clock=SystemClock(),
        rng=system_random(),
        telemetry=Telemetry("plain"),
        max_receives=13,
    )
    record = {
        "messageId": "message-of-the-client" if tracked else job_id,
        "receiptHandle": "handle",
        "body": sent.bodies[0],
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": str(now),
            "ApproximateFirstReceiveTimestamp": str(now),
        },
        "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:offload-plain",
    }
    assert worker({"Records": [record]}, Context()) == {"batchItemFailures": []}
    assert meter.units == units
    kept = stack.client.store.get(job_id)
    assert kept["state"] == "SUCCEEDED"
    assert not {"idx", "idx_at"} & set(kept), "a job that succeeds enters no index"
    assert len(json.dumps(kept)) < 1024
