"""Global rate limits: no more starts than allowed, no attempt charged for waiting, no job received without end."""

from __future__ import annotations

import itertools

import pytest

from offload import RateLimit, Retry, State, current_job, task


def limited(rate, burst=1, **settings):
    starts = []

    @task(rate_limit=RateLimit(rate, burst=burst), batch_size=10, **settings)
    def work(fail: bool = False) -> None:
        starts.append((work.clock.now(), current_job().attempt))
        if fail and current_job().attempt == 1:
            raise ValueError("boom")

    work.starts = starts
    return work


@pytest.mark.parametrize(
    ("rate", "burst", "interval"), [("6/m", 1, 10), ("6/m", 3, 10), ("1/s", 5, 1), ("1/h", 1, 3600)]
)
def test_starts_keep_to_the_rate(stage, rate, burst, interval):
    work = limited(rate, burst)
    world = stage(work)
    work.clock = world.clock
    begin = world.clock.now()
    jobs = work.delay_many([{}] * 12)
    world.run_until_idle()
    moments = [(at - begin) / 1000 for at, _ in work.starts]
    assert len(moments) == 12
    for n, moment in enumerate(moments):
        # the n-th start may come two seconds early (EARLY_MS), and a visibility rounds up to a second
        assert -2 <= moment - max(0, (n - burst + 1) * interval) <= 2
    assert all(job.record().attempt == 1 for job in jobs)
    assert world.dead() == []


def test_a_waiting_job_is_received_once_more_at_most(stage):
    work = limited("6/m")
    world = stage(work)
    work.clock = world.clock
    work.delay_many([{}] * 10)
    receives = []
    original = world.queues.port.delete

    def deleted(queue, receipt):
        receives.append(int(receipt.rpartition("/")[2]))
        original(queue, receipt)

    world.queues.port.delete = deleted
    world.run_until_idle()
    assert max(receives) <= 2


def test_a_backoff_takes_no_slot_before_it_is_over(stage):
    work = limited("1/m", retry=Retry(max_attempts=2, base="30m", cap="1h", jitter=False))
    world = stage(work)
    work.clock = world.clock
    job = work.delay(fail=True)
    body = world.waiting()[0].body
    world.drain()
    world.clock.advance(120)
    world.send(body)  # a copy that comes during the backoff
    world.drain()
    reserved = world.item("rate#work")["tat"]
    assert reserved < world.clock.now()
    world.run_until_idle()
    assert [attempt for _, attempt in work.starts] == [1, 2]
    assert job.status() is State.SUCCEEDED


def test_a_cancelled_job_gives_way(stage):
    work = limited("6/m")
    world = stage(work)
    work.clock = world.clock
    jobs = work.delay_many([{}] * 3)
    world.drain()
    jobs[1].cancel()
    world.run_until_idle()
    assert len(work.starts) == 2
    assert jobs[1].status() is State.CANCELLED


def test_the_rate_is_told_apart_from_jobs(stage):
    work = limited("6/m")
    world = stage(work)
    work.clock = world.clock
    work.delay()
    world.drain()
    with pytest.raises(Exception, match="no job 'rate#work'"):
        world.client.job("rate#work")


def test_a_slot_is_not_noted_over_what_changed_meanwhile(stage):
    work = limited("1/m")
    world = stage(work)
    work.clock = world.clock
    work.delay()
    world.poll()
    waits = work.delay()
    get = world.store.port.get

    def cancelled_right_after(key):
        item = get(key)
        if key == waits.id:
            world.store.port.get = get
            waits.cancel()
        return item

    world.store.port.get = cancelled_right_after
    world.poll()
    record = world.item(waits.id)
    assert record["state"] == "CANCELLED"
    assert "slot_at" not in record
    world.run_until_idle()
    assert len(work.starts) == 1


def test_a_job_that_waits_for_a_slot_has_a_history_from_the_start(stage):
    work = limited("1/m")
    world = stage(work)
    work.clock = world.clock
    work.delay()
    bare = world.send('{"payload": {}}')
    world.drain()
    assert world.states(bare) == ["PENDING/0"]
    world.run_until_idle()
    assert world.states(bare) == ["PENDING/0", "RUNNING/1", "SUCCEEDED/1"]


def test_a_redrive_of_many_keeps_to_the_rate(stage):
    fixed = []
    starts = []

    @task(rate_limit=RateLimit("6/m"), batch_size=10, retry=Retry(max_attempts=1))
    def work() -> None:
        starts.append(world.clock.now())
        if not fixed:
            raise ValueError("boom")

    world = stage(work)
    jobs = work.delay_many([{}] * 8)
    world.run_until_idle()
    assert len(world.dead()) == 8
    fixed.append(1)
    starts.clear()
    world.clock.advance(600)
    world.redrive()
    world.run_until_idle()
    assert len(starts) == 8
    assert all(later - sooner >= 8_000 for sooner, later in itertools.pairwise(starts))
    assert all((job.status(), job.record().redrives) == (State.SUCCEEDED, 1) for job in jobs)


def test_a_job_on_its_way_to_the_dead_letter_queue_takes_no_slot(stage):
    @task(rate_limit=RateLimit("1/m"), retry=Retry(max_attempts=1))
    def work() -> None:
        raise ValueError("boom")

    world = stage(work)
    work.delay()
    world.run_until_idle()
    assert len(world.dead()) == 1
    assert world.item("rate#work")["tat"] == world.clock.now() + 60_000  # the one start


@pytest.mark.parametrize("change", ["cancelled", "claimed"])
def test_a_job_that_changes_while_its_slot_is_noted_is_looked_at_again(stage, change):
    work = limited("1/m")
    world = stage(work)
    work.clock = world.clock
    work.delay()
    job = work.delay()
    original = world.store.port.apply

    def meanwhile(write):
        if "slot_at" in write.set:
            world.store.port.apply = original
            if change == "cancelled":
                job.cancel()
            else:
                world.store.port._items[job.id] |= {
                    "state": "RUNNING",
                    "lease": "x",
                    "lease_until": write.set["slot_at"],
                }
        return original(write)

    world.store.port.apply = meanwhile
    world.drain()
    assert len(work.starts) == 1
    assert job.status() is (State.CANCELLED if change == "cancelled" else State.RUNNING)
