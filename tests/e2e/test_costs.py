"""What a job costs in write units, as the engine counts consumed capacity, indexes included."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from offload import Client, Retry, current_job, task
from offload.aws import sdk
from offload.aws.table import JobTable
from offload.core.clock import SystemClock
from offload.core.ids import system_random
from offload.core.tasks.manifest_entry import manifest_entry
from offload.runtime.telemetry import Telemetry
from offload.runtime.worker import Worker


@task
def plain(to: str) -> str:
    """Return its argument."""
    return to


@task(retry=Retry(max_attempts=2, base="1s", cap="1s"))
def shaky(to: str) -> str:
    """Return its argument, the second time."""
    if current_job().attempt == 1:
        raise ConnectionError("the mail server does not answer")
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


class Kept:
    """A queue that keeps what was sent, and lets messages wait."""

    def __init__(self):
        self.bodies = []

    def send(self, _queue, message):
        self.bodies.append(message.body)
        return "message-of-the-client"

    def change_visibility(self, _queue, receipt, seconds):
        assert (receipt, seconds) == (RECEIPT, 1)


RECEIPT = "AQEB" + "x" * 408
"""As long as one on AWS."""


class Context:
    def get_remaining_time_in_millis(self):
        return 60_000


def deliver(task, body, message_id, store, queues):
    """Have a worker of its own work a message off; returns its answer."""
    worker = Worker(
        task,
        store=store,
        queues=queues,
        blobs=None,
        timers=None,
        clock=SystemClock(),
        rng=system_random(),
        hooks=[Telemetry(task.name)],
    )
    now = SystemClock().now()
    record = {
        "messageId": message_id,
        "receiptHandle": RECEIPT,
        "body": body,
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": str(now),
            "ApproximateFirstReceiveTimestamp": str(now),
        },
        "eventSourceARN": f"arn:aws:sqs:us-east-1:000000000000:offload-{task.name}",
    }
    return worker({"Records": [record]}, Context())


def enqueue(stack, task, store, queues, **options):
    """Have a client whose stack has this task enqueue a job of it; returns the job's id."""
    manifest = replace(stack.client.manifest, tasks={task.name: manifest_entry(task)})
    return (
        Client(manifest, store=store, queues=queues, blobs=None, timers=None)
        .enqueue(task.name, {"to": "a"}, **options)
        .id
    )


@pytest.mark.parametrize(("track", "units"), [("enqueue", 3), ("start", 2), (None, 2)])
def test_a_plain_job_that_succeeds_costs(stack, track, units):
    meter, queues = Metered(), Kept()
    store = JobTable(meter, stack.client.manifest.table)
    if track is not None:
        job_id, message_id = enqueue(stack, plain, store, queues, track=track), "message-of-the-client"
    else:
        job_id = message_id = "bare-message"
        queues.bodies.append('{"payload": {"to": "a"}}')
    assert deliver(plain, queues.bodies[0], message_id, store, queues) == {"batchItemFailures": []}
    assert meter.units == units
    kept = stack.client.store.get(job_id)
    assert kept["state"] == "SUCCEEDED"
    assert not {"idx", "idx_at"} & set(kept), "a job that succeeds enters no index"
    assert len(json.dumps(kept)) < 1024


def test_an_attempt_that_is_retried_costs(stack):
    """Its end, the next claim and an index entry that comes and goes: the record stays below a kilobyte."""
    meter, queues = Metered(), Kept()
    store = JobTable(meter, stack.client.manifest.table)
    job_id = enqueue(stack, shaky, store, queues)
    deliver(shaky, queues.bodies[0], "message-of-the-client", store, queues)
    waiting = stack.client.store.get(job_id)
    assert waiting["state"] == "RETRYING"
    deliver(shaky, queues.bodies[0], "message-of-the-client", store, queues)
    assert stack.client.store.get(job_id)["state"] == "SUCCEEDED"
    assert meter.units == 3 + 4
