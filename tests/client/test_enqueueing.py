"""What a producer can rely on when it enqueues a job: what was accepted, where it waits, and what an error means."""

from __future__ import annotations

import json
import threading

import pytest

from offload import DefinitionError, PayloadError, Refused, State, Unavailable, UnknownTask
from offload.client.sender import INLINE_MESSAGE
from offload.core.manifest import queue_name
from tests.client.receipts import Receipt, send
from tests.runtime.interference import just_before


@pytest.fixture
def pipeline(deploy):
    return deploy(send)


# Message and record


def test_the_message_goes_first_and_the_record_after_it(pipeline):
    send.delay("ann")

    requests = [entry.details[0] for entry in pipeline.trace if entry.kind == "request"]
    assert requests == ["send", "apply"]


def test_a_message_says_what_its_job_needs(pipeline):
    job = send.options(priority="high", tenant="acme", key="k", expires="1h").delay("ann")

    now = pipeline.clock.now()
    (message,) = pipeline.queues.messages(queue_name("test", "send", "high"))
    assert json.loads(message.body) == {
        "version": 1, "payload": {"to": "ann"}, "id": job.id, "task": "send", "key": "k", "tenant": "acme",
        "lane": "high", "expires_at": now + 3_600_000, "enqueued_at": now,
    }  # fmt: skip
    assert message.group == "acme"
    record = job.record()
    assert (record.state, record.lane, record.tenant, record.key, record.max_attempts) == (
        State.PENDING, "high", "acme", "k", 1
    )  # fmt: skip


def test_a_queue_that_does_not_answer_has_accepted_nothing(pipeline):
    pipeline.queues.fail("send", Unavailable("throttled"))

    with pytest.raises(Unavailable):
        send.delay("ann")

    assert pipeline.store.items() == []


@pytest.mark.parametrize("error", [Unavailable("throttled"), Refused("denied")])
def test_a_record_that_was_not_written_does_not_undo_the_job(pipeline, error, caplog):
    pipeline.store.fail("apply", error)

    job = send.delay("ann")

    assert "the worker will write its record" in caplog.text
    assert job.id in caplog.text
    pipeline.drain()
    assert job.result(0) == Receipt(number=1, to="ann")


def test_a_worker_may_be_faster_than_the_producer(pipeline):
    just_before(pipeline.store, "apply", pipeline.drain)

    job = send.delay("ann")

    assert job.result(0).to == "ann"
    assert job.record().attempt == 1


def test_a_client_is_shared_between_threads(pipeline):
    jobs, lock = [], threading.Lock()

    def produce():
        for _ in range(20):
            job = send.delay("ann")
            with lock:
                jobs.append(job)

    threads = [threading.Thread(target=produce) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({job.id for job in jobs}) == 80


# Delays


@pytest.mark.parametrize("delay", [0, 1, 0.2, "15m"])
def test_a_short_delay_waits_in_the_queue(pipeline, delay):
    began_at = pipeline.clock.now()

    job = send.options(delay=delay).delay("ann")

    assert len(pipeline.waiting()) == 1
    assert pipeline.timers.waiting() == {}
    if delay:
        assert job.status() is State.SCHEDULED
        assert job.record().next_at > began_at
    else:
        assert job.status() is State.PENDING
    pipeline.run_until_idle()
    assert job.result(0).to == "ann"


@pytest.mark.parametrize("delay", [900.5, "2h", "365d"])
def test_a_long_delay_waits_for_a_timer(pipeline, delay):
    began_at = pipeline.clock.now()

    job = send.options(delay=delay).delay("ann")

    assert pipeline.waiting() == []
    assert len(pipeline.timers.waiting()) == 1
    assert job.status() is State.SCHEDULED
    assert job.record().next_at > began_at
    pipeline.run_until_idle()
    assert job.result(0).to == "ann"


@pytest.mark.parametrize(("delay", "seconds"), [(0.2, 0.2), ("15m", 900), (900.5, 900.5), ("300d", 300 * 86_400)])
def test_a_delayed_job_starts_when_it_is_due(pipeline, delay, seconds):
    began_at = pipeline.clock.now()

    job = send.options(delay=delay).delay("ann")
    due = job.record().next_at
    pipeline.store.sweep()
    pipeline.run_until_idle()
    pipeline.store.sweep()

    assert due == began_at + round(seconds * 1000)
    assert 0 <= job.record().started_at - due <= 1000


# Large payloads


@pytest.mark.parametrize("size", [INLINE_MESSAGE - 1000, INLINE_MESSAGE, 3_000_000])
def test_a_large_payload_goes_to_the_bucket(pipeline, size):
    job = send.delay("a" * size)

    (message,) = pipeline.waiting()
    assert len(message.body.encode()) <= INLINE_MESSAGE
    assert bool(pipeline.blobs.keys()) is (size >= INLINE_MESSAGE)
    pipeline.drain()
    assert len(job.result(0).to) == size


def test_a_large_payload_whose_bucket_does_not_answer_is_not_enqueued(pipeline):
    pipeline.blobs.fail("put", Unavailable("slow down"))

    with pytest.raises(Unavailable):
        send.delay("a" * 300_000)

    assert pipeline.waiting() == []


# By the task's name


def test_a_job_is_enqueued_by_its_tasks_name(pipeline):
    job = pipeline.client.enqueue("send", {"to": "ann", "number": 7}, priority="high", id="mine")

    assert job.id == "mine"
    pipeline.drain()
    assert job.result(0) == {"number": 7, "to": "ann"}


@pytest.mark.parametrize(
    ("name", "payload", "options", "raised", "said"),
    [
        ("wrok", {}, {}, UnknownTask, "task 'wrok' is not deployed in stack 'test': it has send"),
        ("send", [], {}, PayloadError, "payload must be an object"),
        ("send", {"to": object()}, {}, PayloadError, "cannot be written as JSON"),
        ("send", {"to": {1, 2}}, {}, PayloadError, "send: to: Input should be a valid string"),
        ("send", {"to": "a", "x": 1}, {}, PayloadError, "send: x: Extra inputs are not permitted"),
        ("send", {"number": "few"}, {}, PayloadError, "send: to: Field required; number: Input should be a valid int"),
        ("send", {"to": "ann"}, {"priority": "low"}, DefinitionError, "has the lanes default, high"),
        ("send", {}, {"delay": "366d"}, DefinitionError, "delay="),
        ("send", {}, {"colour": "red"}, DefinitionError, "'colour'"),
    ],
)
def test_a_wrong_request_is_refused_before_anything_is_sent(pipeline, name, payload, options, raised, said):
    with pytest.raises(raised) as refused:
        pipeline.client.enqueue(name, payload, **options)

    assert said in str(refused.value)
    assert pipeline.waiting() == pipeline.store.items() == []
