"""What a producer can rely on: what was accepted, in which order, and what an error means."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest
from pydantic import BaseModel

from offload import (
    Client,
    DefinitionError,
    JobCancelled,
    JobExpired,
    JobFailed,
    PartlyEnqueued,
    PayloadError,
    Permanent,
    Refused,
    ResultExpired,
    ResultTimeout,
    Retry,
    State,
    Unavailable,
    UnknownJob,
    UnknownTask,
    task,
)
from offload.client.client import INLINE_MESSAGE
from offload.core.keys import WINDOW_MS
from offload.core.manifest import queue_name
from offload.core.producing import Options, Order


class Receipt(BaseModel):
    number: int
    to: str


@task(priorities=("default", "high"), retry=Retry(max_attempts=1))
def send(to: str, number: int = 1) -> Receipt:
    if to == "nobody":
        raise Permanent("no such address")
    return Receipt(number=number, to=to)


@pytest.fixture
def world(stage):
    return stage(send)


def sent(world, lane="default"):
    return [json.loads(message.body) for message in world.queues.messages(world.queue(lane=lane))]


# Sending


def test_the_message_goes_first_and_the_record_after_it(world):
    order = []
    for port, method in ((world.queues, "send"), (world.store, "apply")):
        original = getattr(port.port, method)
        setattr(port.port, method, lambda *a, o=original, m=method: (order.append(m), o(*a))[1])
    send.delay("ann")
    assert order == ["send", "apply"]


def test_a_message_says_what_its_job_needs(world):
    job = send.options(priority="high", tenant="acme", key="k", expires="1h").delay("ann")
    now = world.clock.now()
    assert sent(world, "high") == [
        {
            "version": 1, "payload": {"to": "ann"}, "id": job.id, "task": "send", "key": "k", "tenant": "acme",
            "lane": "high", "expires_at": now + 3_600_000, "enqueued_at": now,
        }
    ]  # fmt: skip
    (message,) = world.queues.messages(world.queue(lane="high"))
    assert message.group == "acme"
    record = job.record()
    assert (record.state, record.lane, record.tenant, record.key, record.max_attempts) == (
        State.PENDING, "high", "acme", "k", 1
    )  # fmt: skip


def test_a_queue_that_does_not_answer_has_accepted_nothing(world):
    world.queues.fail("send", Unavailable("throttled"))
    with pytest.raises(Unavailable):
        send.delay("ann")
    assert world.store.items() == []


@pytest.mark.parametrize("trouble", [Unavailable("throttled"), Refused("denied")])
def test_a_record_that_was_not_written_does_not_undo_the_job(world, trouble, caplog):
    world.store.fail("apply", trouble)
    job = send.delay("ann")
    assert "waits for the worker" in caplog.text
    assert job.id in caplog.text
    world.drain()
    assert job.result(0) == Receipt(number=1, to="ann")


def test_a_worker_may_be_faster_than_the_producer(world):
    original = world.store.port.apply

    def worker_first(write):
        world.store.port.apply = original
        world.drain()
        return original(write)

    world.store.port.apply = worker_first
    job = send.delay("ann")
    assert job.result(0).to == "ann"
    assert job.record().attempt == 1


@pytest.mark.parametrize(
    ("delay", "where"),
    [
        (0, "queue"),
        (1, "queue"),
        (0.2, "queue"),
        ("15m", "queue"),
        (900.5, "timer"),
        ("2h", "timer"),
        ("365d", "timer"),
    ],
)
def test_a_delay_waits_where_it_can(world, delay, where):
    begin = world.clock.now()
    job = send.options(delay=delay).delay("ann")
    assert bool(world.timers.waiting()) is (where == "timer")
    assert len(world.waiting()) == (where == "queue")
    if delay == 0:
        assert job.status() is State.PENDING
    else:
        assert job.status() is State.SCHEDULED
        assert job.record().next_at > begin
    world.run_until_idle()
    assert job.result(0).to == "ann"


@pytest.mark.parametrize(("delay", "seconds"), [(0.2, 0.2), ("15m", 900), (900.5, 900.5), ("300d", 300 * 86_400)])
def test_a_delayed_job_starts_when_it_is_due(world, delay, seconds):
    begin = world.clock.now()
    job = send.options(delay=delay).delay("ann")
    due = job.record().next_at
    world.store.sweep()
    world.run_until_idle()
    world.store.sweep()
    assert due == begin + round(seconds * 1000)
    assert 0 <= job.record().started_at - due <= 1000


@pytest.mark.parametrize("size", [INLINE_MESSAGE - 1000, INLINE_MESSAGE, 3_000_000])
def test_a_large_payload_goes_to_the_bucket(world, size):
    job = send.delay("a" * size)
    (message,) = world.waiting()
    assert len(message.body.encode()) <= INLINE_MESSAGE
    assert bool(world.blobs.keys()) is (size >= INLINE_MESSAGE)
    world.drain()
    assert len(job.result(0).to) == size


def test_a_large_payload_whose_bucket_does_not_answer_is_not_enqueued(world):
    world.blobs.fail("put", Unavailable("slow down"))
    with pytest.raises(Unavailable):
        send.delay("a" * 300_000)
    assert world.waiting() == []


# By name


def test_by_name(world):
    job = world.client.enqueue("send", {"to": "ann", "number": 7}, priority="high", id="mine")
    assert job.id == "mine"
    world.drain()
    assert job.result(0) == {"number": 7, "to": "ann"}


@pytest.mark.parametrize(
    ("name", "payload", "options", "raised", "said"),
    [
        ("wrok", {}, {}, UnknownTask, "task 'wrok' is not deployed in stack 'test': it has send"),
        ("send", [], {}, PayloadError, "payload must be an object"),
        ("send", {"x": object()}, {}, PayloadError, "cannot be written as JSON"),
        ("send", {"x": float("nan")}, {}, PayloadError, "cannot be written as JSON"),
        ("send", {"x": {1, 2}}, {}, PayloadError, "cannot be written as JSON"),
        ("send", {}, {"priority": "low"}, DefinitionError, "has the lanes default, high"),
        ("send", {}, {"delay": "366d"}, DefinitionError, "delay="),
        ("send", {}, {"colour": "red"}, DefinitionError, "'colour'"),
    ],
)
def test_a_wrong_request_is_refused_before_anything_is_sent(world, name, payload, options, raised, said):
    with pytest.raises(raised) as refused:
        world.client.enqueue(name, payload, **options)
    assert said in str(refused.value)
    assert world.waiting() == world.store.items() == []


# Many


def test_many(world):
    jobs = send.delay_many([{"to": str(n)} for n in range(25)])
    assert len({job.id for job in jobs}) == 25
    world.drain()
    assert [job.result(0).to for job in jobs] == [str(n) for n in range(25)]
    assert send.delay_many([]) == []


def test_some_of_many(world):
    original = world.queues.port.send_batch

    def refuse_some(queue, messages):
        answers = original(queue, messages)
        return [Unavailable("throttled") if n in (1, 3) else answer for n, answer in enumerate(answers)]

    world.queues.port.send_batch = refuse_some
    with pytest.raises(
        PartlyEnqueued, match="2 of 4 jobs were not enqueued, as far as is known; the first, call 1: throttled"
    ) as partly:
        send.delay_many([{"to": str(n)} for n in range(4)])
    assert [handle is None for handle in partly.value.handles] == [False, True, False, True]
    assert list(partly.value.failures) == [1, 3]
    assert partly.value.handles[0].status() is State.PENDING
    assert len(world.store.items()) == 2  # a job that was not accepted has no record


def test_many_to_several_queues_and_times(world):
    orders = [
        Order("send", {"to": "a"}, Options()),
        Order("send", {"to": "b"}, Options(priority="high")),
        Order("send", {"to": "c"}, Options(delay="1h")),
        Order("send", {"to": "d"}, Options(key="k")),
        Order("send", {"to": "e"}, Options(delay="5m")),
    ]
    handles = world.client.send_many(orders)
    assert [handle.status() for handle in handles] == [
        State.PENDING, State.PENDING, State.SCHEDULED, State.PENDING, State.SCHEDULED
    ]  # fmt: skip
    world.run_until_idle()
    assert [handle.result(0)["to"] for handle in handles] == list("abcde")


@pytest.mark.parametrize(
    "wrong",
    [Order("wrok", {}, Options()), Order("send", {"x": object()}, Options()), Order("send", {}, Options(priority="x"))],
)
@pytest.mark.parametrize("first", [Options(), Options(delay="1h"), Options(key="k")])
def test_many_of_which_one_is_wrong_send_nothing(world, wrong, first):
    with pytest.raises((UnknownTask, PayloadError, DefinitionError)):
        world.client.send_many([Order("send", {"to": "a"}, first), wrong])
    assert world.waiting() == world.store.items() == []
    assert world.timers.waiting() == {}


def test_many_of_which_one_waits_for_a_service_that_does_not_answer(world):
    world.timers.fail("send_at", Unavailable("throttled"))
    orders = [Order("send", {"to": "a"}, Options(delay="1h")), Order("send", {"to": "b"}, Options())]
    with pytest.raises(PartlyEnqueued) as partly:
        world.client.send_many(orders)
    assert list(partly.value.failures) == [0]
    assert partly.value.handles[1] is not None


# Idempotency keys


def test_a_key_names_one_job(world):
    first = send.options(key="order-42").delay("ann")
    second = send.options(key="order-42").delay("bob")
    assert (first.id, first.created, second.created) == (second.id, True, False)
    world.drain()
    third = send.options(key="order-42").delay("ann")
    assert third.id == first.id
    assert len(sent(world)) == 0
    assert third.result(0).to == "ann"


def test_keys_are_the_tasks_own(stage):
    @task
    def other(to: str) -> None: ...

    stage(send, other)
    assert send.options(key="k").delay("a").id != other.options(key="k").delay("a").id


def test_a_key_is_free_again_after_its_day(world):
    first = send.options(key="k").delay("ann")
    world.clock.advance(WINDOW_MS / 1000 - 1)
    assert send.options(key="k").delay("ann").id == first.id
    world.clock.advance(1)
    again = send.options(key="k").delay("ann")
    assert again.created
    assert again.id != first.id


@pytest.mark.parametrize("died", ["before the message", "after the message", "before it confirmed"])
def test_a_producer_that_dies_leaves_a_key_the_next_one_mends(world, died):
    if died == "before it confirmed":
        world.store.fail("apply", Unavailable("down"), where=lambda write: "confirmed" in write.set)
        first = send.options(key="k").delay("ann").id
    else:
        world.queues.fail("send", Unavailable("down"), after=died == "after the message")
        with pytest.raises(Unavailable):
            send.options(key="k").delay("ann")
        first = None
    job = send.options(key="k").delay("ann")
    assert first in (None, job.id)
    world.drain()
    assert job.result(0).to == "ann"
    assert job.record().attempt == 1
    assert len([item for item in world.store.items() if "state" in item]) == 1


@pytest.mark.parametrize("trouble", [Unavailable("down"), Refused("denied")])
def test_a_key_that_was_not_confirmed_does_not_undo_the_job(world, trouble):
    world.store.fail("apply", trouble, where=lambda write: "confirmed" in write.set)
    assert send.options(key="k").delay("ann").created


def test_two_producers_with_one_key_at_once(world):
    original = world.store.port.apply
    other = []

    def meanwhile(write):
        if write.id.startswith("key#") and not other:
            other.append(1)
            other.append(send.options(key="k").delay("ann"))
        return original(write)

    world.store.port.apply = meanwhile
    mine = send.options(key="k").delay("ann")
    assert mine.id == other[1].id
    assert (other[1].created, mine.created) == (True, False)


def test_a_key_is_no_job(world):
    send.options(key="k").delay("ann")
    for look in (world.client.job, world.client.cancel):
        with pytest.raises(UnknownJob):
            look("key#send#k")


# Asking after jobs


@pytest.mark.parametrize(
    ("end", "raised"), [("failed", JobFailed), ("cancelled", JobCancelled), ("expired", JobExpired)]
)
def test_a_result_that_never_comes_says_why(world, end, raised):
    job = send.options(expires="1m").delay("nobody" if end == "failed" else "ann")
    if end == "cancelled":
        job.cancel()
    if end == "expired":
        world.clock.advance(61)
    world.run_until_idle()
    with pytest.raises(raised) as told:
        job.result(0)
    if end == "failed":
        assert told.value.error["type"] == "Permanent"
        assert told.value.job_id == job.id


def test_a_result_has_its_time(world):
    job = send.delay("ann")
    world.drain()
    world.clock.advance(7 * 86_400 - 1)
    assert job.result(0).to == "ann"
    world.clock.advance(1)
    with pytest.raises(ResultExpired):
        job.result(0)
    assert job.status() is State.SUCCEEDED


@pytest.mark.parametrize("timeout", [0, 0.05, 1, 30])
def test_waiting_gives_up_in_time_and_the_job_goes_on(world, timeout):
    job = send.delay("ann")
    begin = world.clock.now()
    with pytest.raises(ResultTimeout, match=r"is PENDING after .* it goes on") as told:
        job.result(timeout)
    assert isinstance(told.value, TimeoutError)
    assert world.clock.now() - begin == timeout * 1000
    world.drain()
    assert job.result(0).to == "ann"


def test_waiting_looks_more_and_more_rarely_and_sees_the_end_soon(world):
    job = send.delay("ann")
    world.clock.call_at(world.clock.now() + 60_000, world.drain)
    world.store.calls.clear()
    begin = world.clock.now()
    assert job.wait().state is State.SUCCEEDED
    assert world.clock.now() - begin <= 62_000
    assert len(world.store.called("get")) < 45


def test_an_unknown_job(world):
    for look in (world.client.job, world.client.wait, world.client.cancel, world.client.handle):
        with pytest.raises(UnknownJob, match="no job 'missing' in stack 'test'"):
            look("missing")


def test_a_handle_by_id(world):
    job = send.delay("ann", 3)
    world.drain()
    handle = world.client.handle(job.id)
    assert (handle.task, handle.status()) == ("send", State.SUCCEEDED)
    assert handle.result(0) == {"number": 3, "to": "ann"}  # without the task there are only plain values
    assert handle == job
    assert "_producer" not in repr(handle)


def test_cancelling_says_what_came_of_it(world):
    job = send.delay("ann")
    assert job.cancel().state is State.CANCELLED
    assert job.cancel().state is State.CANCELLED
    done = send.delay("ann")
    world.drain()
    assert done.cancel().state is State.SUCCEEDED
    running = world.store.port._items[done.id]
    running["state"] = "RUNNING"
    assert done.cancel().cancel_requested_at == world.clock.now()


def test_cancelling_a_job_that_keeps_changing_gives_up(world):
    job = send.delay("ann")
    original = world.store.port.apply
    states = ["RUNNING", "PENDING"]

    def changing(write):
        states.reverse()
        world.store.port._items[job.id]["state"] = states[0]
        return original(write)

    states.reverse()
    world.store.port.apply = changing
    with pytest.raises(Unavailable, match="keeps changing"):
        job.cancel()


def test_async_handles(world):
    async def produce():
        job = await send.adelay("ann")
        assert await job.astatus() is State.PENDING
        await asyncio.to_thread(world.drain)
        assert (await job.aresult(0)).to == "ann"
        other = await send.options(id="b").adelay("bob")
        assert (await other.acancel()).state is State.CANCELLED
        with pytest.raises(JobCancelled):
            await other.aresult(0)

    asyncio.run(produce())


def test_a_client_is_shared_between_threads(world):
    handles, lock = [], threading.Lock()

    def produce():
        for _ in range(20):
            job = send.delay("ann")
            with lock:
                handles.append(job)

    threads = [threading.Thread(target=produce) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({job.id for job in handles}) == 80


# Connecting


def test_from_stack_says_what_to_do(monkeypatch):
    from moto import mock_aws

    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "OFFLOAD_STACK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    with mock_aws():
        with pytest.raises(Refused, match="stack 'offload' is not deployed in this account and region"):
            Client.from_stack()
        monkeypatch.setenv("OFFLOAD_STACK", "other")
        with pytest.raises(Refused, match="stack 'other' is not deployed"):
            Client.from_stack()
        with pytest.raises(Refused, match="stack 'third' is not deployed"):
            Client.from_stack("third")


def test_from_stack_without_an_engine(monkeypatch):
    from offload.aws import sdk

    monkeypatch.setattr(sdk, "ATTEMPTS", 1)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with pytest.raises(Unavailable, match=r"AWS_ENDPOINT_URL=http://127\.0\.0\.1:9"):
        Client.from_stack()


def test_names_of_queues(world):
    assert world.queue() == queue_name("test", "send")
