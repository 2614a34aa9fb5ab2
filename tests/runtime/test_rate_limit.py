"""A rate limit: no more starts than allowed, no attempt charged for waiting, no job received again and again."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest

from offload import RateLimit, Retry, State, UnknownJob
from tests.runtime.interference import just_before, right_after
from tests.runtime.scripted_task import ScriptedTask, fail


def limited(rate, *, burst=1, **settings):
    return ScriptedTask(rate_limit=RateLimit(rate, burst=burst), batch_size=10, **settings)


def starts(pipeline):
    """When each run started, in epoch milliseconds."""
    return [run.at for run in pipeline.runs]


@pytest.mark.parametrize(
    ("rate", "burst", "interval"), [("6/m", 1, 10), ("6/m", 3, 10), ("1/s", 5, 1), ("1/h", 1, 3600)]
)
def test_starts_keep_to_the_rate(deploy, rate, burst, interval):
    work = limited(rate, burst=burst)
    pipeline = deploy(work)
    began_at = pipeline.clock.now()

    jobs = work.delay_many([{}] * 12)
    pipeline.run_until_idle()

    seconds = [(at - began_at) / 1000 for at in starts(pipeline)]
    assert len(seconds) == 12
    for number, second in enumerate(seconds):
        # A message may come back two seconds before its time (EARLY_MS), and its visibility counts whole seconds.
        assert -2 <= second - max(0, (number - burst + 1) * interval) <= 2
    assert all(job.record().attempt == 1 for job in jobs)
    assert pipeline.dead() == []


def test_a_waiting_job_is_received_once_more_at_most(deploy):
    work = limited("6/m")
    pipeline = deploy(work)
    work.delay_many([{}] * 10)

    pipeline.run_until_idle()

    receives = Counter(each for entry in pipeline.trace if entry.kind == "invoke" for each in entry.details[0])
    assert len(receives) == 10
    assert max(receives.values()) <= 2


def test_a_job_in_its_backoff_takes_no_slot(deploy):
    work = limited("1/m", retry=Retry(max_attempts=2, base="30m", cap="1h", jitter=False))
    pipeline = deploy(work)
    work.on_run(1, fail)
    job = work.delay("a")
    body = pipeline.waiting()[0].body
    pipeline.drain()

    pipeline.clock.advance(120)
    pipeline.send(body)
    pipeline.drain()
    assert pipeline.record("rate#work")["tat"] < pipeline.clock.now()
    pipeline.run_until_idle()

    assert work.attempts == [1, 2]
    assert job.status() is State.SUCCEEDED


def test_a_cancelled_job_gives_its_place_to_the_others(deploy):
    work = limited("6/m")
    pipeline = deploy(work)
    jobs = work.delay_many([{}] * 3)
    pipeline.drain()

    jobs[1].cancel()
    pipeline.run_until_idle()

    assert len(work.runs) == 2
    assert jobs[1].status() is State.CANCELLED


def test_a_job_on_its_way_to_the_dead_letter_queue_takes_no_slot(deploy):
    work = limited("1/m", retry=Retry(max_attempts=1))
    pipeline = deploy(work)
    work.on_every_run(fail)
    work.delay("a")

    pipeline.run_until_idle()

    assert len(pipeline.dead()) == 1
    assert pipeline.record("rate#work")["tat"] == pipeline.clock.now() + 60_000  # the slot of its one start


def test_the_record_of_a_rate_is_no_job(deploy):
    work = limited("6/m")
    pipeline = deploy(work)
    work.delay("a")
    pipeline.drain()

    with pytest.raises(UnknownJob, match="no job 'rate#work'"):
        pipeline.client.job("rate#work")


def test_a_redrive_of_many_jobs_keeps_to_the_rate(deploy):
    work = limited("6/m", retry=Retry(max_attempts=1))
    pipeline = deploy(work)
    for name in "abcdefgh":
        work.on_run(1, fail, of=name)
    jobs = [work.delay(name) for name in "abcdefgh"]
    pipeline.run_until_idle()
    assert len(pipeline.dead()) == 8

    pipeline.runs.clear()
    pipeline.clock.advance(600)
    pipeline.redrive()
    pipeline.run_until_idle()

    assert len(starts(pipeline)) == 8
    assert all(later - sooner >= 8_000 for sooner, later in itertools.pairwise(starts(pipeline)))
    assert all((job.status(), job.record().redrives) == (State.SUCCEEDED, 1) for job in jobs)


# A job that waits for its slot


def test_a_job_that_waits_for_a_slot_has_a_history_from_the_start(deploy):
    work = limited("1/m")
    pipeline = deploy(work)
    work.delay("a")
    waits = pipeline.send('{"payload": {}}')

    pipeline.drain()
    assert pipeline.states(waits) == ["PENDING/0"]
    pipeline.run_until_idle()

    assert pipeline.states(waits) == ["PENDING/0", "RUNNING/1", "SUCCEEDED/1"]


def test_a_slot_is_not_noted_in_a_record_that_changed_meanwhile(deploy):
    work = limited("1/m")
    pipeline = deploy(work)
    work.delay("a")
    pipeline.poll()
    waits = work.delay("b")

    right_after(pipeline.store, "get", waits.cancel, where=lambda job_id: job_id == waits.id)
    pipeline.poll()

    record = pipeline.record(waits.id)
    assert record["state"] == "CANCELLED"
    assert "start_slot_at" not in record

    pipeline.run_until_idle()

    assert len(work.runs) == 1


@pytest.mark.parametrize("change", ["cancelled", "claimed"])
def test_a_job_that_changes_while_its_slot_is_noted_is_looked_at_again(deploy, change):
    work = limited("1/m")
    pipeline = deploy(work)
    work.delay("a")
    waits = work.delay("b")

    def be_claimed():
        lease_until = pipeline.clock.now() + 60_000
        pipeline.store.port.change(waits.id, state="RUNNING", lease="another's", lease_until=lease_until)

    happens = waits.cancel if change == "cancelled" else be_claimed
    just_before(pipeline.store, "apply", happens, where=lambda write: "start_slot_at" in write.set)
    pipeline.drain()

    assert len(work.runs) == 1
    assert waits.status() is (State.CANCELLED if change == "cancelled" else State.RUNNING)
