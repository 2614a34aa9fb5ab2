"""A message that waits is in flight for a minute at most: a longer wait takes a delay in its queue, or a timer."""

from __future__ import annotations

import json

import pytest

from offload import DefinitionError, RateLimit, Refused, Retry, RetryLater, State, Unavailable
from offload.core.ports import LARGEST_MESSAGE, LARGEST_TIMED
from tests.runtime.interference import outage
from tests.runtime.scripted_task import ScriptedTask, fail, run_again_in

MINUTE, HOUR, DAY = 60, 3_600, 86_400


def waits(pipeline):
    """Return how many messages are in flight, are delayed in their queue, and wait for a timer."""
    counts = pipeline.queues.port.counts(pipeline.queue())
    return counts.in_flight, counts.delayed, len(pipeline.timers.port.waiting())


@pytest.mark.parametrize(
    ("delay", "where"), [(0, (0, 0, 0)), (1, (1, 0, 0)), (60, (1, 0, 0)), (61, (0, 1, 0)), (900, (0, 1, 0)),
    (901, (0, 0, 1)), (30 * DAY, (0, 0, 1)), (365 * DAY, (0, 0, 1))]
)  # fmt: skip
def test_where_a_job_waits_for_its_next_attempt(deploy, delay, where):
    work = ScriptedTask(retry=Retry(max_attempts=2))
    pipeline = deploy(work)
    work.on_run(1, run_again_in(delay))
    job = work.delay("a")
    due = pipeline.clock.now() + delay * 1000

    pipeline.poll()
    assert waits(pipeline) == where
    pipeline.run_until_idle()

    assert work.attempts == [1, 2]
    assert job.status() is State.SUCCEEDED
    assert 0 <= pipeline.clock.now() - due <= 1_000, "to the second, although a timer may be late"
    assert len(pipeline.mapping().responses) <= 3


def test_a_timer_that_fires_late_delays_its_job_by_nothing(deploy):
    work = ScriptedTask(retry=Retry(max_attempts=2))
    pipeline = deploy(work)
    work.on_run(1, run_again_in("1h"))
    work.delay("a")
    pipeline.poll()
    ((name, at),) = pipeline.timers.port.waiting().items()

    timed = pipeline.timers.get(name)
    pipeline.timers.delete(name)
    pipeline.timers.send_at(name, timed.queue, timed.body, at + 59_000)
    due = pipeline.clock.now() + HOUR * 1000
    pipeline.run_until_idle()

    assert work.attempts == [1, 2]
    assert abs(pipeline.clock.now() - due) <= 1_000


def test_a_timer_that_fires_twice_runs_its_job_once(deploy):
    work = ScriptedTask(retry=Retry(max_attempts=2))
    pipeline = deploy(work)
    work.on_run(1, run_again_in("1h"))
    work.delay("a")
    pipeline.poll()
    ((name, at),) = pipeline.timers.port.waiting().items()
    timed = pipeline.timers.get(name)

    pipeline.timers.send_at("again", timed.queue, timed.body, at + 30_000)
    pipeline.run_until_idle()

    assert work.attempts == [1, 2]
    assert pipeline.dead() == pipeline.waiting() == []


def test_a_second_message_of_a_job_that_waits_sets_no_second_timer(deploy):
    work = ScriptedTask(retry=Retry(max_attempts=2))
    pipeline = deploy(work)
    work.on_run(1, run_again_in("1h"))
    work.delay("a")
    body = pipeline.waiting()[0].body
    pipeline.poll()

    pipeline.send(body)
    pipeline.poll()

    assert len(pipeline.timers.port.waiting()) == 1
    assert pipeline.waiting() == []


def test_a_line_for_the_rate_limit_is_not_in_flight(deploy):
    """Of a hundred jobs at one a minute, those wait in flight that come within the next two minutes."""
    work = ScriptedTask(rate_limit=RateLimit("1/m"), batch_size=10)
    pipeline = deploy(work)
    work.delay_many([{} for _ in range(100)])

    pipeline.drain()
    in_flight, delayed, timed = waits(pipeline)

    assert in_flight <= 2
    assert delayed <= 30
    assert timed >= 65
    pipeline.run_until_idle()
    assert len(work.runs) == 100


def test_a_job_that_is_held_by_another_worker_is_not_waited_for_in_flight(deploy):
    work = ScriptedTask(timeout="15m", soft_timeout="10m")
    pipeline = deploy(work)
    work.on_run(1, pipeline.kill)
    work.delay("a")
    body = pipeline.waiting()[0].body
    pipeline.poll()
    before = waits(pipeline)

    pipeline.send(body)
    pipeline.poll()

    assert waits(pipeline)[0] == before[0]
    pipeline.run_until_idle()
    assert work.attempts == [1, 2]


@pytest.mark.parametrize("delay", ["366d", "10000d", -1])
def test_no_job_waits_for_more_than_a_year(delay):
    with pytest.raises(DefinitionError, match=r"delay=.* out of range: .* at most 365d"):
        RetryLater(delay=delay)


# When a copy cannot be sent


@pytest.mark.parametrize("error", [Refused("no permission"), Unavailable("down")], ids=["refused", "unavailable"])
@pytest.mark.parametrize("delay", ["5m", "1h"])
def test_a_message_whose_copy_cannot_be_sent_is_hidden_instead(deploy, delay, error):
    work = ScriptedTask(retry=Retry(max_attempts=2))
    pipeline = deploy(work)
    work.on_run(1, run_again_in(delay))
    work.delay("a")

    with outage(pipeline.queues, "send", error), outage(pipeline.timers, "send_at", error):
        pipeline.poll()
        assert waits(pipeline) == (1, 0, 0)
        pipeline.run_until_idle()

    assert work.attempts == [1, 2]
    assert pipeline.dead() == []


def test_a_wait_whose_timer_cannot_be_set_is_cut_into_delays(deploy):
    work = ScriptedTask(retry=Retry(max_attempts=2))
    pipeline = deploy(work)
    work.on_run(1, run_again_in("2h"))
    work.delay("a")
    due = pipeline.clock.now() + 2 * HOUR * 1000

    with outage(pipeline.timers, "send_at", Refused("no permission", lasting=False)):
        pipeline.poll()
        assert waits(pipeline) == (0, 1, 0)
        pipeline.run_until_idle()

    assert work.attempts == [1, 2]
    assert 0 <= pipeline.clock.now() - due <= 1_000


# Large bodies


def body_of(size, **fields):
    """Return a bare message of so many bytes."""
    empty = len(json.dumps({"payload": {"name": ""}, **fields}))
    return json.dumps({"payload": {"name": "x" * (size - empty)}, **fields})


@pytest.mark.parametrize("size", [LARGEST_TIMED - 100, LARGEST_TIMED, LARGEST_MESSAGE - 100, LARGEST_MESSAGE])
@pytest.mark.parametrize("delay", ["5m", "1h", "60d"])
def test_a_message_of_any_size_waits(deploy, size, delay):
    work = ScriptedTask(retry=Retry(max_attempts=2))
    pipeline = deploy(work)
    work.on_run(1, run_again_in(delay))
    job_id = pipeline.send(body_of(size, tenant="acme"))

    pipeline.poll()
    assert waits(pipeline)[0] == 0
    pipeline.run_until_idle()

    assert [len(name) for name in work.names] == [len(work.names[0])] * 2
    job = pipeline.job(job_id)
    assert (job.state, job.attempt, job.tenant) == (State.SUCCEEDED, 2, "acme")
    assert pipeline.waiting() == pipeline.dead() == []


def test_a_failed_message_of_the_largest_size_names_its_job_in_the_dead_letter_queue(deploy):
    work = ScriptedTask(retry=Retry(max_attempts=1))
    pipeline = deploy(work)
    work.on_run(1, fail)
    job_id = pipeline.send(body_of(LARGEST_MESSAGE))
    pipeline.run_until_idle()
    assert [letter.job_id for letter in pipeline.dead_letters()] == [job_id]

    pipeline.clock.advance(60)
    pipeline.redrive()
    pipeline.run_until_idle()

    assert pipeline.job(job_id).state is State.SUCCEEDED


def test_a_message_whose_payload_the_bucket_does_not_take_waits_all_the_same(deploy, service_error):
    work = ScriptedTask(retry=Retry(max_attempts=2))
    pipeline = deploy(work)
    work.on_run(1, run_again_in("5m"))
    pipeline.send(body_of(LARGEST_MESSAGE))

    with outage(pipeline.blobs, "put", service_error):
        pipeline.poll()
        assert waits(pipeline) == (1, 0, 0)
        pipeline.run_until_idle()

    assert work.attempts == [1, 2]


def test_a_payload_in_the_bucket_is_written_where_it_outlives_a_long_wait(deploy):
    work = ScriptedTask(retry=Retry(max_attempts=2))
    pipeline = deploy(work)
    work.on_run(1, run_again_in("300d"))
    job = work.delay("x" * 300_000)

    pipeline.poll()
    (key,) = [key for key in pipeline.blobs.port.keys() if "/425d/" in key]  # noqa: SIM118 - not a dictionary
    assert job.id in key
    pipeline.run_until_idle()

    assert work.attempts == [1, 2]
    assert job.status() is State.SUCCEEDED
