"""The worlds the contract is held against: every port, the queues and the table behind it, and a way to let time pass.

`memory` is the in-memory twin; `moto` is moto in this process behind boto3; `signed` is a moto server behind the lean
transport; `engine` is the embedded engine at `OFFLOAD_CONTRACT_ENDPOINT`, collected only where that is set.
"""

from __future__ import annotations

import json
import logging
import os
import random
import time
import uuid
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from moto import mock_aws
from moto.server import ThreadedMotoServer

from offload.aws import sdk, signed
from offload.aws.blobs import S3Blobs
from offload.aws.queues import SqsQueues
from offload.aws.table import JobTable
from offload.aws.timers import SchedulerTimers
from offload.core.clock import Clock, SystemClock
from offload.core.manifest import INDEX, Manifest
from offload.memory.blobs import MemoryBlobs
from offload.memory.clock import VirtualClock
from offload.memory.queues import MemoryQueues
from offload.memory.table import MemoryTable
from offload.memory.timers import MemoryTimers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from offload.aws.calls import Call
    from offload.core.ports import Blobs, JobStore, Queues, Timers

REGION = "us-east-1"
MOTO_ACCOUNT = "123456789012"
ENGINE_ACCOUNT = "000000000000"
ENGINE = os.environ.get("OFFLOAD_CONTRACT_ENDPOINT")
ENGINE_KEY = (os.environ.get("OFFLOAD_CONTRACT_ACCESS_KEY", ""), os.environ.get("OFFLOAD_CONTRACT_SECRET_KEY", ""))
ENGINE_PARAM = [pytest.param("engine", marks=pytest.mark.engine)] if ENGINE else []


class World(Protocol):
    """One set of adapters over one clock; `queue` makes a queue and returns its name."""

    store: JobStore
    queues: Queues
    blobs: Blobs
    timers: Timers
    clock: Clock

    def queue(self, *, dead_letter: str | None = None, max_receives: int = 10) -> str: ...


def pytest_generate_tests(metafunc):
    # Of the stand-ins, moto keeps schedules but never fires them.
    if "firing_world" in metafunc.fixturenames:
        metafunc.parametrize("firing_world", ["memory", *ENGINE_PARAM], indirect=True)
    elif "strict_world" in metafunc.fixturenames:  # the engine carries out some updates that DynamoDB refuses
        metafunc.parametrize("strict_world", ["memory", "moto", "signed"], indirect=True)
    elif "exact_world" in metafunc.fixturenames:  # moto does not know statements with parameters and conditions
        metafunc.parametrize("exact_world", ["memory", *ENGINE_PARAM], indirect=True)
    elif "world" in metafunc.fixturenames:
        metafunc.parametrize("world", ["memory", "moto", "signed", *ENGINE_PARAM], indirect=True)


@pytest.fixture
def world(request, monkeypatch) -> Iterator[World]:
    yield from _build(request, monkeypatch)


firing_world = strict_world = exact_world = world


@pytest.fixture(scope="session")
def moto_server() -> Iterator[str]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def _build(request, monkeypatch) -> Iterator[World]:
    kind = request.param
    if kind == "memory":
        yield MemoryWorld()
        return
    access_key, secret_key = ENGINE_KEY if kind == "engine" else ("test", "test")
    for name, value in {
        "AWS_ACCESS_KEY_ID": access_key,
        "AWS_SECRET_ACCESS_KEY": secret_key,
        "AWS_SESSION_TOKEN": "test",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    if kind == "moto":
        monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
        with mock_aws():
            yield AwsWorld(MOTO_ACCOUNT, None, sdk.caller)
        return
    endpoint = ENGINE if kind == "engine" else request.getfixturevalue("moto_server")
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    yield AwsWorld(ENGINE_ACCOUNT if kind == "engine" else MOTO_ACCOUNT, endpoint, signed.caller)


class MemoryWorld:
    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.store = MemoryTable(self.clock)
        self.queues = MemoryQueues(self.clock, random.Random(7))
        self.blobs = MemoryBlobs()
        self.timers = MemoryTimers(self.clock, self.queues)

    def queue(self, **settings: Any) -> str:
        name = f"queue-{len(self.queues.names())}"
        self.queues.create(name, **settings)
        return name


class AwsWorld:
    """Makes what stands behind a port when the port is first asked for: most tests need one of them."""

    def __init__(self, account: str, endpoint: str | None, lean: Callable[[str], Call]) -> None:
        self.clock = SystemClock()
        self._account, self._lean = account, lean
        self._suffix = uuid.uuid4().hex[:12]
        self._numbers = iter(range(100))
        self.queues = SqsQueues(lean("sqs"), account=account, region=REGION, endpoint=endpoint)

    @cached_property
    def store(self) -> JobTable:
        table = f"jobs-{self._suffix}"
        attributes = {"id": "S", "idx": "S", "idx_at": "N"}
        index = [{"AttributeName": "idx", "KeyType": "HASH"}, {"AttributeName": "idx_at", "KeyType": "RANGE"}]
        sdk.client("dynamodb").create_table(
            TableName=table,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": kind} for name, kind in attributes.items()],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            GlobalSecondaryIndexes=[
                {"IndexName": INDEX, "KeySchema": index, "Projection": {"ProjectionType": "ALL"}},
            ],
        )
        return JobTable(self._lean("dynamodb"), table)

    @cached_property
    def blobs(self) -> S3Blobs:
        bucket = f"blobs-{self._suffix}"
        sdk.client("s3").create_bucket(Bucket=bucket)
        return S3Blobs(bucket, self._lean("s3"))

    @cached_property
    def timers(self) -> SchedulerTimers:
        group = f"group-{self._suffix}"
        sdk.client("scheduler").create_schedule_group(Name=group)
        timers = {"group": group, "role": f"arn:aws:iam::{self._account}:role/timers"}
        return SchedulerTimers(
            Manifest("offload", self._account, REGION, "jobs", "blobs", {}, timers), self._lean("scheduler")
        )

    def queue(self, *, dead_letter: str | None = None, max_receives: int = 10) -> str:
        name = f"queue-{self._suffix}-{next(self._numbers)}"
        settings = {}
        if dead_letter:
            target = f"arn:aws:sqs:{REGION}:{self._account}:{dead_letter}"
            settings["RedrivePolicy"] = json.dumps({"deadLetterTargetArn": target, "maxReceiveCount": max_receives})
        sdk.client("sqs").create_queue(QueueName=name, Attributes=settings)
        return name


@pytest.fixture
def eventually() -> Callable[[Callable[[], Any], Clock], Any]:
    """Ask again, as time passes, until the answer is not empty; at most 15 seconds."""

    def ask(question: Callable[[], Any], clock: Clock) -> Any:
        until = time.monotonic() + 15
        for _ in range(150):
            if answer := question():
                return answer
            clock.sleep(0.1)
            if time.monotonic() > until:
                break
        pytest.fail("nothing came")

    return ask
