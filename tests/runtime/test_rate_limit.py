"""A rate limit: no more starts than allowed, no attempt charged for waiting, no job received again and again."""

from __future__ import annotations

import itertools
import random

import pytest

from offload import RateLimit, Retry, State, UnknownJob
from offload.testing import Faults, Pipeline
from tests.runtime.interference import just_before, right_after
from tests.runtime.scripted_task import ScriptedTask, fail


def limited(rate, *, burst=1, **settings):
    return ScriptedTask(rate_limit=RateLimit(rate, burst=burst), batch_size=10, **settings)


def starts(pipeline):
    """When each run started, in epoch milliseconds."""
    return [run.at for run in pipeline.runs]


def received(pipeline):
    """How many messages the workers have received."""
    return sum(len(entry.details[0]) for entry in pipeline.trace if entry.kind == "invoke")


def work_started(pipeline):
    (at,) = starts(pipeline)
    return at


def over_the_limit(starts, per_second, burst):
    """Return by how many starts the worst window has more than rate and burst allow."""
    return max(
        later - sooner + 1 - burst - (starts[later] - starts[sooner]) / 1000 * per_second
        for sooner in range(len(starts))
        for later in range(sooner, min(len(starts), sooner + 300))
    )


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
    assert seconds == [max(0, (number - burst + 1) * interval) for number in range(12)]
    assert all(job.record().attempt == 1 for job in jobs)
    assert pipeline.dead() == []


@pytest.mark.parametrize(("jobs", "most"), [(6, 2), (30, 5), (300, 8)])
def test_a_waiting_job_is_received_a_few_times(deploy, jobs, most):
    work = limited("6/m")
    pipeline = deploy(work)
    work.delay_many([{}] * jobs)

    pipeline.run_until_idle()

    assert len(work.runs) == jobs
    assert received(pipeline) <= most * jobs


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
    assert pipeline.record("rate#work")["tat"] < pipeline.clock.now() * 1000
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
    assert pipeline.record("rate#work")["tat"] == (work_started(pipeline) + 60_000) * 1000  # of its one start


def test_the_record_of_a_rate_is_no_job(deploy):
    work = limited("6/m")
    pipeline = deploy(work)
    work.delay("a")
    pipeline.drain()

    with pytest.raises(UnknownJob, match="no job"):
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
    assert all(later - sooner >= 10_000 for sooner, later in itertools.pairwise(starts(pipeline)))
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
    assert "place_at" not in record

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
    just_before(pipeline.store, "apply", happens, where=lambda write: "place_at" in write.set)
    pipeline.drain()

    assert len(work.runs) == 1
    assert waits.status() is (State.CANCELLED if change == "cancelled" else State.RUNNING)


# A backlog


@pytest.mark.parametrize("burst", [1, 5])
@pytest.mark.parametrize(
    ("rate", "per_second", "seconds"),
    [
        ("100/h", 1 / 36, 14_400),
        ("10/m", 1 / 6, 1800),
        ("0.7/s", 0.7, 400),
        ("1/s", 1, 300),
        ("7/s", 7, 45),
        ("50/s", 50, 10),
    ],
)
def test_never_more_starts_in_any_window_than_allowed_and_hardly_fewer(deploy, rate, per_second, seconds, burst):
    work = limited(rate, burst=burst, timeout="5m")
    pipeline = deploy(work)
    pipeline.most_steps = 10**6
    began_at = pipeline.clock.now()
    work.delay_many([{}] * int(seconds * per_second * 1.1 + burst + 5))

    pipeline.advance(seconds)

    made = [at for at in starts(pipeline) if at < began_at + seconds * 1000]
    assert over_the_limit(made, per_second, burst) <= 1e-9
    assert len(made) >= 0.99 * seconds * per_second


@pytest.mark.parametrize(("rate", "per_second", "seconds"), [("10/m", 1 / 6, 3600), ("1/s", 1, 300), ("5/s", 5, 60)])
def test_workers_beside_each_other_keep_the_rate_whatever_comes_late(rate, per_second, seconds):
    work = limited(rate, timeout="5m", max_concurrency=20)
    faults = Faults.none(7, interleave=0.3, delay=0.05, duplicate=0.05, reorder=0.5)
    with Pipeline(work, faults=faults) as pipeline:
        pipeline.most_steps = 10**6
        began_at = pipeline.clock.now()
        work.delay_many([{}] * int(seconds * per_second * 1.1 + 5))
        pipeline.advance(seconds)

    made = sorted(at for at in starts(pipeline) if at < began_at + seconds * 1000)
    # Here each request takes up to 0.2 s: a start follows its slot by one or two requests.
    assert over_the_limit(made, per_second, burst=1) <= 0.5 * max(1, 2 * per_second * 0.4)
    assert len(made) >= 0.97 * seconds * per_second


def test_a_new_job_does_not_pass_those_that_wait(deploy):
    work = limited("1/m")
    pipeline = deploy(work)
    work.delay_many([{"name": name} for name in "abcd"])
    pipeline.drain()

    pipeline.advance("58s")  # the slot of "b" is near, and "b" is not back yet
    work.delay("e")
    pipeline.drain()
    pipeline.run_until_idle()

    assert work.names == [*"abcde"]


def test_a_job_whose_worker_died_takes_one_slot_for_its_next_start(deploy):
    work = limited("1/h", retry=Retry(max_attempts=3))
    pipeline = deploy(work)
    work.on_run(1, pipeline.kill)
    work.delay("a")
    pipeline.run_until_idle()

    assert work.attempts == [1, 2]
    first, second = starts(pipeline)
    assert second - first == 3_600_000


def test_what_comes_late_does_not_make_up_for_it_in_a_burst(deploy):
    work = limited("1/m")
    pipeline = deploy(work)
    work.delay_many([{}] * 6)
    pipeline.drain()

    pipeline.clock.advance(600)  # nobody polls for ten minutes
    pipeline.run_until_idle()

    assert over_the_limit(starts(pipeline), 1 / 60, burst=1) <= 1e-9
    assert len(starts(pipeline)) == 6


# Jobs that leave the line, and limits that change


def idle_intervals(pipeline, began_at, interval, already=0):
    """How many slots were not used, while there was work: until nineteen of twenty jobs have started."""
    made = sorted(starts(pipeline))[already:]
    last = int(len(made) * 0.95) - 1
    return (made[last] - began_at) / 1000 / interval - last


@pytest.mark.parametrize(
    ("rate", "interval", "jobs", "when"),
    [
        ("6/m", 10, 300, 0.0),  # with fewer jobs nobody misses those who leave without being counted
        ("6/m", 10, 150, 0.3),
        ("6/m", 10, 150, "all the time"),
        ("100/h", 36, 150, "all the time"),
    ],
)
def test_jobs_that_are_cancelled_leave_no_gap(deploy, rate, interval, jobs, when):
    work = limited(rate)
    pipeline = deploy(work)
    pipeline.most_steps = 10**6
    began_at = pipeline.clock.now()
    line = list(work.delay_many([{}] * jobs))
    pipeline.drain()
    leaving = random.Random(5).sample(line, int(jobs * 0.3))

    if when == "all the time":
        for job in leaving:
            pipeline.advance(0.6 * jobs * interval / len(leaving))
            job.cancel()
    else:
        pipeline.advance(when * jobs * interval)
        for job in leaving:
            job.cancel()
    pipeline.run_until_idle()

    assert over_the_limit(sorted(starts(pipeline)), 1 / interval, burst=1) <= 1e-9
    # Two more, since whoever leaves the front of the line leaves a gap there.
    assert idle_intervals(pipeline, began_at, interval) <= 0.01 * len(work.runs) + 2


def test_jobs_that_expire_leave_no_gap_and_expire_in_time(deploy):
    work = limited("6/m")
    pipeline = deploy(work)
    pipeline.most_steps = 10**6
    began_at = pipeline.clock.now()
    jobs = [work.options(**({"expires": "10m"} if number % 3 == 0 else {})).delay() for number in range(150)]

    pipeline.run_until_idle()

    expired = [job.record().finished_at for job in jobs if job.status() is State.EXPIRED]
    assert len(expired) == 50 - sum(
        job.record().expires_at is not None and job.status() is State.SUCCEEDED for job in jobs
    )
    assert expired
    assert all(at - began_at <= 603_000 for at in expired)
    assert idle_intervals(pipeline, began_at, 10) <= 0.01 * len(work.runs) + 2


def test_new_jobs_do_not_wait_for_a_line_that_was_cancelled(deploy):
    work = limited("1/m")
    pipeline = deploy(work)
    line = list(work.delay_many([{}] * 600))
    pipeline.advance("10m")
    for job in line:
        job.cancel()

    job = work.delay("later")
    now = pipeline.clock.now()
    pipeline.run_until_idle()

    assert job.status() is State.SUCCEEDED
    assert starts(pipeline)[-1] - now <= 7 * 60_000  # what is left of the front


@pytest.mark.parametrize(
    ("before", "after", "interval"), [("6/m", "12/m", 5), ("6/m", "3/m", 20), ("100/h", "30/h", 120)]
)
def test_a_changed_rate_moves_the_line(deploy, before, after, interval):
    work = limited(before)
    pipeline = deploy(work)
    pipeline.most_steps = 10**6
    work.delay_many([{}] * 150)
    pipeline.advance("10m")
    changed_at, already = pipeline.clock.now(), len(starts(pipeline))

    pipeline.deploy(limited(after))
    pipeline.run_until_idle()

    made = starts(pipeline)[already:]
    assert len(made) == 150 - already
    assert over_the_limit(made, 1 / interval, burst=1) <= 1e-9
    assert idle_intervals(pipeline, changed_at, interval, already) <= 0.01 * len(made) + 6


def test_a_limit_that_is_raised_does_not_wait_for_the_slot_of_the_old_one(deploy):
    work = limited("1/d")
    pipeline = deploy(work)
    jobs = work.delay_many([{}] * 2)
    pipeline.drain()

    pipeline.deploy(limited("1/s"))
    job = work.delay()
    pipeline.advance("10s")

    assert jobs[0].status() is job.status() is State.SUCCEEDED


def test_the_record_of_a_job_in_a_long_line_outlives_its_wait(deploy):
    work = limited("1/d")
    pipeline = deploy(work)
    jobs = work.delay_many([{}] * 60)
    pipeline.drain()

    for number, job in enumerate(jobs):
        if number:
            least = pipeline.clock.now() / 1000 + (number + 34) * 86_400
            assert pipeline.record(job.id)["ttl"] >= least
    pipeline.run_until_idle()
    assert all(job.status() is State.SUCCEEDED for job in list(jobs)[-20:])
