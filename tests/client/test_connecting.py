"""Connecting to a stack: at first use, once for all threads; an error says what to do, and the next use tries again."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from moto import mock_aws

from offload import Client, DefinitionError, PayloadError, Refused, Unavailable, UnknownTask, task, use
from offload.aws import manifests, sdk
from offload.client import client as client_module
from offload.client import connection as connection_module
from offload.core.manifest import queue_name
from offload.core.tasks.manifest_entry import manifest_entry
from offload.testing import Pipeline

if TYPE_CHECKING:
    from offload.client.connection import Connection


@task(priorities=("default", "high"))
def early(number: int = 1) -> int:
    return number


@task
def late(name: str) -> str:
    return name


@pytest.fixture
def credentials(monkeypatch):
    """The ordinary configuration of somebody who uses AWS."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "OFFLOAD_STACK"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, "eu-west-1")


# At first use


@pytest.mark.usefixtures("credentials")
def test_a_stack_that_is_not_deployed_is_named_by_the_first_use(monkeypatch):
    with mock_aws():
        with pytest.raises(Refused, match="stack 'offload' is not deployed in this account and region"):
            Client.from_stack().job("any")
        monkeypatch.setenv("OFFLOAD_STACK", "other")
        with pytest.raises(Refused, match="stack 'other' is not deployed"):
            Client.from_stack().enqueue("any", {})
        with pytest.raises(Refused, match="stack 'third' is not deployed"):
            assert Client.from_stack("third").manifest


@pytest.mark.usefixtures("credentials")
def test_an_endpoint_that_does_not_answer_is_named_by_the_first_use(monkeypatch):
    monkeypatch.setattr(sdk, "ATTEMPTS", 1)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")

    with pytest.raises(Unavailable, match=r"AWS_ENDPOINT_URL=http://127\.0\.0\.1:9"):
        Client.from_stack().job("any")


def test_a_client_that_is_not_used_loads_no_sdk_and_starts_nothing():
    program = (
        "import sys, threading, offload\n"
        "offload.use(offload.Client.from_stack('any'))\n"
        "loaded = {'boto3', 'botocore', 'asyncio', 'concurrent.futures'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
        "assert threading.active_count() == 1\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


class Deployments:
    """Stands for AWS: what is deployed, how often that was read, and the stack that is behind it."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.manifest = replace(pipeline.manifest, tasks={})
        self.reads = 0
        self.patience: list[float] = []
        self.failure: Exception | None = None
        self.reading = threading.Event()
        self.may_answer = threading.Event()
        self.may_answer.set()

    def deploy(self, *tasks) -> None:
        self.pipeline.deploy(*tasks)
        self.manifest = replace(self.manifest, tasks={each.name: manifest_entry(each) for each in tasks})

    def read(self, _stack, *, patience):
        self.reads += 1
        self.patience.append(patience)
        self.reading.set()
        assert self.may_answer.wait(10)
        if self.failure is not None:
            raise self.failure
        return self.manifest


@pytest.fixture
def stack():
    return Deployments(Pipeline())  # not entered: there its own client would stand in for the one that is tested


@pytest.fixture
def client(stack, monkeypatch):
    """A client as `from_stack` makes it, over a stack in memory and its clock."""
    pipeline = stack.pipeline
    monkeypatch.setattr(manifests, "read", stack.read)
    monkeypatch.setattr(client_module, "SystemClock", lambda: pipeline.clock)
    made = Client.from_stack("test")
    connect = made._connector._connect

    def in_memory(known: Connection | None) -> Connection:
        connection = connect(known)
        if connection is known or (known is not None and connection.store is known.store):
            return connection
        return connection._replace(
            store=pipeline.store, queues=pipeline.queues, blobs=pipeline.blobs, timers=pipeline.timers
        )

    made._connector._connect = in_memory
    return made


def test_the_manifest_is_read_once(stack, client):
    assert stack.reads == 0
    stack.deploy(early)
    for number in range(3):
        client.enqueue("early", {"number": number})
        client.job(client.send(client.request("early", {})).id)
    assert stack.reads == 1
    assert client.manifest is stack.manifest


def test_threads_that_come_at_once_read_it_once(stack, client):
    stack.deploy(early)
    stack.may_answer.clear()
    with ThreadPoolExecutor(20) as threads:
        handles = [threads.submit(client.enqueue, "early", {"number": number}) for number in range(20)]
        stack.reading.wait(10)
        stack.may_answer.set()
        assert len({handle.result(10).id for handle in handles}) == 20
    assert stack.reads == 1


def test_a_use_that_fails_leaves_the_next_to_try_again(stack, client):
    stack.deploy(early)
    stack.failure = Unavailable("no answer")
    for _ in range(2):
        with pytest.raises(Unavailable, match="no answer"):
            client.enqueue("early", {})
    assert stack.reads == 2
    stack.failure = None
    client.enqueue("early", {})
    assert stack.reads == 3


def test_threads_that_waited_for_a_read_that_failed_do_not_wait_one_after_the_other(stack, client):
    stack.failure = Unavailable("no answer")
    stack.may_answer.clear()
    with ThreadPoolExecutor(20) as threads:
        first = threads.submit(client.job, "any")
        assert stack.reading.wait(10)
        others = [threads.submit(client.job, "any") for _ in range(19)]
        while sum(thread.name.startswith("ThreadPool") for thread in threading.enumerate()) < 20:
            pass
        threading.Event().wait(0.2)  # they wait for the first one's read
        stack.may_answer.set()
        for each in [first, *others]:
            assert isinstance(each.exception(10), Unavailable)
    assert stack.reads < 10, "one, but for threads that came late"


def test_throttles_are_waited_for_at_the_first_look_and_within_the_limit_of_a_job(stack, client, monkeypatch):
    stack.deploy(early)
    client.enqueue("early", {})
    stack.pipeline.clock.advance(60)
    with pytest.raises(UnknownTask):
        client.enqueue("wrok", {})
    assert stack.patience == [60, 2]

    client._connector._connection = None
    stack.failure = Unavailable("still throttled")
    monkeypatch.setattr(connection_module, "running_job", lambda: SimpleNamespace(remaining=7.5))
    with pytest.raises(Unavailable):
        client.job("any")
    assert stack.patience[-1] == 7.5


# What is deployed later


def test_a_task_that_is_deployed_later_is_found_at_once(stack, client):
    stack.deploy(early)
    client.enqueue("early", {})
    stack.pipeline.clock.advance(3600)
    stack.deploy(early, late)

    job = client.enqueue("late", {"name": "ann"})
    assert stack.reads == 2
    stack.pipeline.run_until_idle()
    assert job.result(0) == "ann"


def test_a_task_that_the_program_imports_is_found_too(stack, client):
    stack.deploy(early)
    client.enqueue("early", {})
    stack.pipeline.clock.advance(3600)
    stack.deploy(early, late)

    before = use(client)
    try:
        late.delay("ann")
        early.delay_many([1, 2])
    finally:
        use(before)
    assert stack.reads == 2


def test_a_new_argument_is_found_too(stack, client):
    stack.deploy(early)
    client.enqueue("early", {})
    stack.pipeline.clock.advance(3600)
    stack.manifest = replace(stack.manifest, tasks={"early": manifest_entry(late)})

    assert client.request("early", {"name": "ann"}).payload == {"name": "ann"}
    assert stack.reads == 2


def test_a_new_lane_is_found_too(stack, client):
    stack.deploy(early)
    client.enqueue("early", {})
    stack.pipeline.clock.advance(3600)
    entry = {**manifest_entry(early), "priorities": ["default", "high", "low"]}
    stack.manifest = replace(stack.manifest, tasks={"early": entry})
    stack.pipeline._queues.create(queue_name("test", "early", "low"))

    client.enqueue("early", {}, priority="low")
    assert stack.reads == 2


def test_a_misspelt_name_is_looked_up_every_five_seconds_at_most(stack, client):
    stack.deploy(early)
    client.enqueue("early", {})
    for _ in range(100):  # in 20 seconds
        with pytest.raises(UnknownTask, match="task 'erly' is not deployed in stack 'test': it has early"):
            client.enqueue("erly", {})
        stack.pipeline.clock.advance(0.2)
    assert stack.reads - 1 == 3, "5, 10 and 15 seconds after the first"


@pytest.mark.parametrize(
    ("name", "payload", "options", "error"),
    [
        ("wrok", {}, {}, UnknownTask),
        ("early", {"nope": 1}, {}, PayloadError),
        ("early", {}, {"priority": "low"}, DefinitionError),
    ],
)
def test_so_it_is_under_many_threads(stack, client, name, payload, options, error):
    stack.deploy(early)
    client.enqueue("early", {})
    stack.pipeline.clock.advance(60)

    def misspelt(_):
        with pytest.raises(error):
            client.enqueue(name, payload, **options)

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(misspelt, range(400)))
    assert stack.reads == 2


def test_a_second_look_that_fails_is_told_and_bounded_too(stack, client):
    stack.deploy(early)
    client.enqueue("early", {})
    stack.pipeline.clock.advance(60)
    stack.failure = Unavailable("no answer")
    for _ in range(10):
        with pytest.raises(Unavailable, match="no answer"):
            client.enqueue("late", {"name": "a"})
        with pytest.raises(PayloadError, match="nope"):
            client.enqueue("early", {"nope": 1})
    assert stack.reads == 2
    client.enqueue("early", {})  # what is known goes on

    stack.failure = None
    stack.pipeline.clock.advance(5)
    stack.deploy(early, late)
    client.enqueue("late", {"name": "a"})
    assert stack.reads == 3


def test_a_failure_is_forgotten_after_a_look_that_succeeds(stack, client):
    stack.deploy(early)
    client.enqueue("early", {})
    stack.failure = Unavailable("no answer")
    stack.pipeline.clock.advance(5)
    with pytest.raises(Unavailable, match="no answer"):
        client.enqueue("late", {"name": "a"})
    stack.failure = None
    stack.pipeline.clock.advance(5)
    for _ in range(2):  # the second within five seconds of the look that succeeded
        with pytest.raises(UnknownTask):
            client.enqueue("late", {"name": "a"})
    assert stack.reads == 3


def test_a_clock_that_was_set_back_does_not_put_off_the_next_look(stack, client, monkeypatch):
    stack.deploy(early)
    client.enqueue("early", {})
    now = stack.pipeline.clock.now()
    monkeypatch.setattr(client._connector._clock, "now", lambda: now - 3_600_000)
    stack.deploy(early, late)
    looked = client._connector.look_again(client._connector.connection())
    assert "late" in looked.manifest.tasks


def test_a_stack_that_was_made_anew_is_connected_to_anew(stack, client):
    stack.deploy(early)
    client.enqueue("early", {})
    known = client._connector.connection()
    stack.pipeline.clock.advance(60)
    stack.deploy(early, late)
    client.enqueue("late", {"name": "a"})
    assert client._connector.connection().store is known.store

    stack.manifest = replace(stack.manifest, table="another", tasks={"late": manifest_entry(late)})
    stack.pipeline.clock.advance(60)
    made = []
    connect = client._connector._connect
    client._connector._connect = lambda before: made.append(connect(before)) or made[0]
    with pytest.raises(UnknownTask):
        client.enqueue("wrok", {})
    assert made[0].manifest.table == "another"
    assert made[0].timers is stack.pipeline.timers, "made by the fixture again, not kept"


def test_the_worker_knows_what_it_was_deployed_with(stack, monkeypatch):
    """Its role allows no more, so a look would be in vain."""
    monkeypatch.setattr(manifests, "read", stack.read)
    stack.deploy(early)
    with pytest.raises(UnknownTask):
        stack.pipeline.client.enqueue("late", {})
    assert stack.reads == 0
