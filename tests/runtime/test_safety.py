"""One winner, honest attempts, nothing lost: duplicates, dead and overtaken workers, cancelling, deadlines."""

from __future__ import annotations

import json

import pytest

from offload import Retry, RetryLater, State, current_job, task
from offload.core.errors import LeaseLost
from offload.core.ports import Outgoing
from offload.testing import Killed


def recorder(**settings):
    """A task that notes each run, and does what the test says next."""
    runs = []

    @task(**settings)
    def work(name: str = "", do: str = "") -> str:
        runs.append((name, current_job().attempt))
        if do:
            work.play[do]()
        return name

    work.runs, work.play = runs, {}
    return work


# Duplicates


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("copies", [2, 5])
def test_copies_of_a_message_run_once(stage, copies, together):
    work = recorder()
    world = stage(work)
    body = '{"id": "job-1", "payload": {"name": "a"}}'
    for _ in range(copies):
        world.send(body)
        if not together:
            world.drain()
    world.run_until_idle()
    assert work.runs == [("a", 1)]
    assert world.job("job-1").state is State.SUCCEEDED
    assert world.waiting() == world.dead() == []


@pytest.mark.parametrize("days", [0, 1, 14, 27])
def test_a_late_copy_of_an_ended_job_is_dropped_as_long_as_a_message_can_live(stage, days):
    work = recorder()
    world = stage(work)
    job = work.delay("a")
    body = world.waiting()[0].body
    world.run_until_idle()
    world.clock.advance(days * 86_400)
    world.store.sweep()
    world.send(body)
    world.run_until_idle()
    assert work.runs == [("a", 1)]
    assert job.record().attempt == 1


def test_the_same_delivery_again_after_the_response_was_lost(stage):
    work = recorder()
    world = stage(work)
    work.delay("a")
    batch = world.queues.receive(world.queue(), limit=1, visibility=60)
    world.mapping().invoke(batch)
    world.mapping().invoke(batch)  # Lambda's poller never learnt of the first
    assert work.runs == [("a", 1)]


def test_a_copy_of_a_running_job_waits_and_is_not_acknowledged(stage):
    work = recorder(timeout="1m")
    world = stage(work)
    job = work.delay("a", do="meanwhile")
    body = world.waiting()[0].body

    def deliver_copy():
        world.send(body)
        world.poll()
        ((message,),) = [[m for m in world.waiting() if m.body == body and m.receives == 1][1:]]
        # Had it been deleted, the death of this worker would lose the job.
        assert message.visible_at >= world.item(job.id)["lease_until"]

    work.play["meanwhile"] = deliver_copy
    world.drain()
    world.run_until_idle()
    assert work.runs == [("a", 1)]
    assert job.record().attempt == 1


def test_copies_of_a_failing_job_are_one_series_of_attempts(stage):
    work = recorder(retry=Retry(max_attempts=3, base="10s"))
    world = stage(work)

    def fail():
        raise ValueError("boom")

    work.play["fail"] = fail
    for _ in range(3):
        world.send('{"id": "job-1", "payload": {"name": "a", "do": "fail"}}')
    world.run_until_idle()
    assert [attempt for _, attempt in work.runs] == [1, 2, 3]
    assert world.job("job-1").attempt == 3
    assert len(world.dead()) == 3  # each copy lies there; one redrive runs the job, the others find it ended


# Dead workers


def test_a_crash_charges_its_culprit_alone(stage):
    work = recorder(batch_size=10, retry=Retry(max_attempts=3))
    world = stage(work)
    deaths = []

    def die_once():
        if not deaths:
            deaths.append(1)
            world.kill()

    work.play["die"] = die_once
    jobs = [work.delay(str(n), do="die" if n == 6 else "") for n in range(10)]
    assert world.poll() == 10
    assert [job.status() for job in jobs[:6]] == [State.SUCCEEDED] * 6
    assert jobs[6].status() is State.RUNNING
    world.run_until_idle()
    assert [job.record().attempt for job in jobs] == [1, 1, 1, 1, 1, 1, 2, 1, 1, 1]
    assert all(job.status() is State.SUCCEEDED for job in jobs)
    # 7 came back in one batch with the healthy ones and went last.
    assert work.runs[-1] == ("6", 2)
    assert [run for run in work.runs if run[0] in "789"] == [("7", 1), ("8", 1), ("9", 1)]


def test_a_suspect_that_dies_again_takes_nobody_along(stage):
    work = recorder(batch_size=10, retry=Retry(max_attempts=2))
    world = stage(work)
    work.play["die"] = world.kill
    killer = work.delay("killer", do="die")
    world.poll()
    world.clock.advance(world.task.settings.hard_limit * 6)
    others = [work.delay(str(n)) for n in range(9)]
    world.poll()
    assert work.runs[-1] == ("killer", 2)
    assert [job.status() for job in others] == [State.SUCCEEDED] * 9
    world.run_until_idle()
    record = killer.record()
    assert (record.state, record.attempt, record.error["type"]) == (State.FAILED, 2, "WorkerLost")
    assert len(world.dead()) == 1


@pytest.mark.parametrize("attempts", [1, 2, 5])
def test_a_job_that_always_kills_its_worker_ends_failed_after_its_attempts(stage, attempts):
    work = recorder(retry=Retry(max_attempts=attempts))
    world = stage(work)
    work.play["die"] = world.kill
    job = work.delay("a", do="die")
    world.run_until_idle()
    record = job.record()
    assert len(work.runs) == attempts
    assert (record.state, record.attempt, record.error["type"]) == (State.FAILED, attempts, "WorkerLost")
    assert len(world.dead()) == 1
    # and a redrive gives it all of them again
    world.clock.advance(60)
    world.redrive()
    world.run_until_idle()
    assert [attempt for _, attempt in work.runs] == [*range(1, attempts + 1)] * 2
    assert job.record().redrives == 1


def test_a_bare_message_whose_worker_dies_on_the_last_attempt_keeps_its_job(stage):
    work = recorder(retry=Retry(max_attempts=1))
    world = stage(work)
    work.play["die"] = world.kill
    job_id = world.send('{"payload": {"name": "a", "do": "die"}}')
    world.run_until_idle()
    work.play["die"] = lambda: None
    world.clock.advance(60)
    world.redrive()
    world.run_until_idle()
    assert [item["id"] for item in world.store.items()] == [job_id]
    assert world.job(job_id).state is State.SUCCEEDED


def test_a_live_lease_elsewhere_is_waited_for(stage):
    work = recorder(timeout="1m", soft_timeout="30s")
    world = stage(work)
    job = work.delay("a", do="die")
    work.play["die"] = world.kill
    world.poll()
    lease_until = world.item(job.id)["lease_until"]
    body = world.waiting()[0].body
    work.play["die"] = lambda: None
    world.send(body)
    world.drain()
    assert work.runs == [("a", 1)]
    world.clock.advance_to(lease_until - 1)
    world.drain()
    assert work.runs == [("a", 1)]
    world.clock.advance(3)
    world.drain()
    assert work.runs == [("a", 1), ("a", 2)]


# Fencing


@pytest.mark.parametrize("how", ["success", "failure", "retry", "progress"])
@pytest.mark.parametrize("winner", ["success", "failure"])
def test_an_overtaken_worker_records_nothing(stage, how, winner):
    """A worker that lives on past its lease (a frozen sandbox, a stopped clock) meets the job of another."""
    work = recorder(retry=Retry(max_attempts=2, base="1s"), timeout="1m")
    world = stage(work)
    overtaken = []

    def be_overtaken():
        if overtaken:
            if winner == "failure":
                raise ValueError("the winner's own error")
            return
        overtaken.append(1)
        world.clock.advance(7 * 60)
        world.poll()  # the message is visible again: a second worker takes over, and ends before this one
        if how == "failure":
            raise KeyError("late")
        if how == "retry":
            raise RetryLater
        if how == "progress":
            current_job().progress(1)

    work.play["slow"] = be_overtaken
    job = work.delay("a", do="slow")
    world.poll(ends=False)
    record = job.record()
    assert [attempt for _, attempt in work.runs] == [1, 2]
    assert record.attempt == 2
    if winner == "success":
        assert (record.state, record.result, record.error) == (State.SUCCEEDED, '"a"', None)
    else:
        assert (record.state, record.error["message"]) == (State.FAILED, "the winner's own error")
    assert record.progress is None
    before = json.dumps(world.item(job.id))
    world.run_until_idle()
    assert json.dumps(world.item(job.id)) == before
    assert len(world.dead()) == (winner == "failure")


def test_an_overtaken_worker_does_not_replace_the_winners_large_result(stage):
    names = iter("ab")
    overtaken = []

    @task
    def large() -> str:
        name = next(names)
        if not overtaken:
            overtaken.append(1)
            world.clock.advance(7 * 60)
            world.poll()
        return name * 20_000

    world = stage(large)
    job = large.delay()
    world.poll(ends=False)
    assert len(world.blobs.keys()) == 2
    assert job.result(0) == "b" * 20_000


def test_only_the_lease_in_the_record_finishes(stage):
    """Two workers that claim in turn: whichever the record names wins, in both orders of finishing."""
    work = recorder()
    world = stage(work)
    job = work.delay("a", do="steal")

    def steal():
        item = world.store.port._items[job.id]
        item["lease"] = "another's"

    work.play["steal"] = steal
    world.poll()
    item = world.item(job.id)
    assert (item["state"], item["lease"]) == ("RUNNING", "another's")
    assert world.mapping().responses[-1]["batchItemFailures"] != []


def test_an_overtaken_worker_is_told_so_by_its_progress_and_says_nothing_of_it(stage):
    work = recorder()
    world = stage(work)
    job = work.delay("a", do="steal")
    told = []

    def steal():
        world.store.port._items[job.id]["lease"] = "another's"
        with pytest.raises(LeaseLost) as caught:
            current_job().progress(1, 2)
        told.append(caught.value)

    work.play["steal"] = steal
    world.poll()
    assert job.id in str(told[0])
    assert "progress" not in world.item(job.id)


# Cancelling and expiry


def test_a_cancelled_job_that_waits_never_starts(stage):
    work = recorder()
    world = stage(work)
    job = work.delay("a")
    assert job.cancel().state is State.CANCELLED
    world.run_until_idle()
    assert work.runs == []
    assert job.status() is State.CANCELLED
    assert world.dead() == []


def test_a_job_cancelled_between_attempts_does_not_run_again(stage):
    work = recorder(retry=Retry(max_attempts=5, base="1h", jitter=False))
    world = stage(work)

    def fail():
        raise ValueError("boom")

    work.play["fail"] = fail
    job = work.delay("a", do="fail")
    world.drain()
    assert job.status() is State.RETRYING
    assert job.cancel().state is State.CANCELLED
    world.run_until_idle()
    assert len(work.runs) == 1
    assert world.waiting() == world.dead() == []
    assert "idx" not in world.item(job.id)


def test_a_job_cancelled_before_a_distant_start_never_starts(stage):
    work = recorder()
    world = stage(work)
    job = work.options(delay="300d").delay("a")
    job.cancel()
    world.clock.advance(100 * 86_400)
    world.store.sweep()
    world.run_until_idle()
    assert work.runs == []


@pytest.mark.parametrize("then", ["returns", "fails", "dies"])
def test_a_running_job_sees_the_cancel(stage, then):
    work = recorder(retry=Retry(max_attempts=3, base="1s"))
    world = stage(work)
    seen = []

    def look():
        current = current_job()
        before = current.cancelled
        world.client.cancel(current.id)
        world.clock.advance(1)
        seen.append((before, current.cancelled))
        if then == "fails":
            raise ValueError("boom")
        if then == "dies":
            world.kill()

    work.play["look"] = look
    job = work.delay("a", do="look")
    world.run_until_idle()
    assert seen == [(False, True)]
    assert job.status() is (State.SUCCEEDED if then == "returns" else State.CANCELLED)
    assert world.dead() == []


def test_a_redriven_job_is_not_cancelled_any_more(stage):
    work = recorder(retry=Retry(max_attempts=1))
    world = stage(work)
    seen = []

    def fail():
        world.client.cancel(current_job().id)
        seen.append(current_job().cancelled)
        raise ValueError("boom")

    work.play["fail"] = fail
    job = work.delay("a", do="fail")
    world.run_until_idle()
    work.play["fail"] = lambda: seen.append(current_job().cancelled)
    world.clock.advance(60)
    world.redrive()
    world.run_until_idle()
    assert seen == [False, False]
    assert job.status() is State.SUCCEEDED


@pytest.mark.parametrize("bare", [True, False])
def test_a_job_that_could_not_start_in_time_expires(stage, bare):
    work = recorder()
    world = stage(work)
    if bare:
        job_id = world.send(json.dumps({"payload": {}, "expires_at": world.clock.now() + 60_000}))
    else:
        job_id = work.options(expires="1m").delay().id
    world.clock.advance(60)
    world.run_until_idle()
    assert work.runs == []
    assert world.job(job_id).state is State.EXPIRED
    assert world.job(job_id).attempt == 0
    assert world.waiting() == world.dead() == []


def test_a_job_that_has_started_does_not_expire(stage):
    work = recorder(retry=Retry(max_attempts=2, base="10m", jitter=False))
    world = stage(work)
    failed = []

    def fail_once():
        if not failed:
            failed.append(1)
            raise ValueError("boom")

    work.play["fail"] = fail_once
    job = work.options(expires="1m").delay("a", do="fail")
    world.run_until_idle()
    assert job.status() is State.SUCCEEDED


# Time left in the invocation


def test_jobs_that_do_not_fit_go_back_uncharged_and_at_once(stage):
    work = recorder(batch_size=10, timeout="1m", soft_timeout="20s")
    world = stage(work)
    work.play["slow"] = lambda: world.clock.advance(15)
    jobs = [work.delay(str(n), do="slow") for n in range(6)]
    world.poll()
    # 60 s: the fourth starts with 15 s left, which is less than the soft limit.
    assert [job.record().attempt for job in jobs] == [1, 1, 1, 0, 0, 0]
    assert [message.visible_at for message in world.waiting()] == [world.clock.now()] * 3
    world.run_until_idle()
    assert [job.record().attempt for job in jobs] == [1] * 6
    assert all(job.status() is State.SUCCEEDED for job in jobs)


def test_the_first_job_of_an_invocation_runs_however_tight_its_limits(stage):
    work = recorder(timeout="10s", soft_timeout="9.99s")
    world = stage(work)
    job = work.delay("a")
    world.poll(seconds=9.5)  # a cold start has eaten the difference
    assert job.status() is State.SUCCEEDED


def test_time_that_was_lost_on_the_way_to_the_first_job_charges_nobody(stage):
    work = recorder(batch_size=2, timeout="1m")
    world = stage(work)
    from offload import Unavailable

    class Slow(Unavailable):
        def __init__(self):
            world.clock.advance(40)
            super().__init__("timed out")

    first, second = work.delay("a"), work.delay("b")
    world.store.calls.clear()
    original = world.store.port.apply

    def slow(write):
        if write.id == first.id:
            raise Slow
        return original(write)

    world.store.port.apply = slow
    world.poll()
    world.store.port.apply = original
    # 20 s are left of 60: b would be cut short through no fault of its own.
    assert second.record().attempt == 0
    world.run_until_idle()
    assert sorted(work.runs) == [("a", 1), ("b", 1)]


# Renewal


def test_a_message_handed_back_too_often_is_renewed_and_not_dead_lettered(stage):
    work = recorder(retry=Retry(max_attempts=2))
    world = stage(work)
    job = work.delay("a")
    from offload import Unavailable

    world.store.fail("apply", Unavailable("throttled"), times=10**9, where=lambda _: bool(outage))
    outage = [True]
    for _ in range(3 * work.settings.max_receives):
        batch = world.queues.receive(world.queue(), limit=1, visibility=360)
        if not batch:
            world.clock.advance(60)
            continue
        world.mapping().invoke(batch)
        world.clock.advance(900)
    outage.clear()
    assert work.runs == []
    assert world.dead() == []
    world.run_until_idle()
    assert work.runs == [("a", 1)]
    assert job.record().attempt == 1


@pytest.mark.parametrize(
    "body", ['{"payload": {"name": "a"}}', '{"payload": {"name": "a"}, "id": null, "enqueued_at": null}']
)
def test_a_renewed_bare_message_stays_the_same_job(stage, body):
    work = recorder(retry=Retry(max_attempts=2, base="12h", cap="12h", jitter=False))
    world = stage(work)

    def fail_once():
        if len(work.runs) < 2:
            raise ValueError("boom")

    work.play["fail"] = fail_once
    job_id = world.send(body.replace('"a"', '"a", "do": "fail"'))
    sent = world.clock.now()
    world.run_until_idle()
    assert [item["id"] for item in world.store.items()] == [job_id]
    record = world.job(job_id)
    assert (record.state, record.attempt, record.created_at) == (State.SUCCEEDED, 2, sent)
    assert world.clock.now() - sent >= 12 * 3_600_000


def test_a_wait_of_many_days_is_slept_through_in_few_receives(stage):
    work = recorder(retry=Retry(max_attempts=2))
    world = stage(work)

    def later_once():
        if len(work.runs) < 2:
            raise RetryLater(delay="30d")

    work.play["later"] = later_once
    job = work.delay("a", do="later")
    begin = world.clock.now()
    world.run_until_idle()
    assert job.status() is State.SUCCEEDED
    assert world.clock.now() - begin == pytest.approx(30 * 86_400_000, rel=0.001)
    assert len(world.mapping().responses) < 150


def test_trouble_on_the_way_to_the_dead_letter_queue_does_not_run_a_failed_job_again(stage):
    from offload import Permanent, Unavailable

    work = recorder()
    world = stage(work)

    def fail():
        raise Permanent("no")

    work.play["fail"] = fail
    job = work.delay("a", do="fail")
    world.poll()
    outage = [True]
    world.store.fail("apply", Unavailable("throttled"), times=10**9, where=lambda _: bool(outage))
    for _ in range(200):
        world.poll()
        world.clock.advance(900)
    outage.clear()
    assert world.dead() == []  # it was renewed: nobody could tell that its job has failed
    world.run_until_idle()
    assert len(work.runs) == 1
    assert job.status() is State.FAILED
    assert job.record().redrives == 0
    assert len(world.dead()) == 1


def test_a_renewed_job_whose_worker_dies_does_not_start_its_attempts_over(stage):
    from offload import Unavailable

    work = recorder(retry=Retry(max_attempts=2))
    world = stage(work)
    work.play["die"] = world.kill
    job = work.delay("a", do="die")
    world.poll()
    world.clock.advance(3600)
    outage = [True]
    world.store.fail("apply", Unavailable("throttled"), times=10**9, where=lambda _: bool(outage))
    for _ in range(work.settings.max_receives + 5):
        world.poll()
        world.clock.advance(1000)
    outage.clear()
    world.run_until_idle()
    assert [attempt for _, attempt in work.runs] == [1, 2]
    assert (job.status(), job.record().redrives) == (State.FAILED, 0)


def put_off(world, receives):
    """Receive what waits until it has been received so often, as messages are that never fit into their batch."""
    while world.waiting()[0].receives < receives:
        world.queues.receive(world.queue(), limit=10, visibility=0)


@pytest.mark.parametrize("left", [4, 3, 2, 1])
@pytest.mark.parametrize("bare", [False, True])
def test_a_job_that_dies_in_its_last_receives_ends_explained(stage, left, bare):
    work = recorder(retry=Retry(max_attempts=3, base="1s"))
    world = stage(work)
    work.play["die"] = world.kill
    job_id = world.send('{"payload": {"do": "die"}}') if bare else work.delay(do="die").id
    put_off(world, work.settings.max_receives - left)
    world.run_until_idle()
    record = world.job(job_id)
    assert [attempt for _, attempt in work.runs] == [1, 2, 3]
    assert (record.state, record.attempt, record.error["type"]) == (State.FAILED, 3, "WorkerLost")
    assert [letter.job.id for letter in world.dead_letters()] == [job_id]


@pytest.mark.parametrize("left", [4, 3, 2, 1])
def test_neighbours_of_a_killer_in_their_last_receives_are_not_dead_lettered(stage, left):
    work = recorder(batch_size=10, retry=Retry(max_attempts=3, base="1s"))
    world = stage(work)
    work.play["die"] = world.kill
    killers = [work.delay(f"killer {n}", do="die") for n in range(3)]
    others = [work.delay(str(n)) for n in range(3)]
    put_off(world, work.settings.max_receives - left)
    world.run_until_idle()
    assert [job.record().attempt for job in others] == [1] * 3
    assert [job.status() for job in others] == [State.SUCCEEDED] * 3
    assert {letter.job.id for letter in world.dead_letters()} == {job.id for job in killers}
    assert {(job.status(), job.record().attempt) for job in killers} == {(State.FAILED, 3)}


@pytest.mark.parametrize("batch_size", [1, 10])
def test_a_message_is_renewed_before_its_run_and_the_original_deleted_at_once(stage, batch_size):
    """Though its neighbour kills the worker, so that the batch is never acknowledged, no second message is left."""
    work = recorder(batch_size=batch_size, retry=Retry(max_attempts=1))
    world = stage(work)
    job = work.delay("a")
    (original,) = world.waiting()
    put_off(world, work.settings.max_receives - 4)
    work.play["die"] = world.kill
    work.delay("killer", do="die")
    world.poll()
    (copy,) = [message for message in world.waiting() if json.loads(message.body)["id"] == job.id]
    assert (copy.message_id != original.message_id, copy.receives) == (True, 0)
    assert json.loads(copy.body)["renewed"] == [original.message_id]
    world.run_until_idle()
    assert work.runs.count(("a", 1)) == 1


def test_a_message_that_cannot_be_renewed_runs_as_it_is(stage):
    from offload import Unavailable

    work = recorder()
    world = stage(work)
    job = work.delay("a")
    put_off(world, work.settings.max_receives - 1)
    world.queues.fail("send", Unavailable("throttled"))
    world.run_until_idle()
    assert work.runs == [("a", 1)]
    assert job.status() is State.SUCCEEDED
    assert world.waiting() == world.dead() == []


def test_an_original_that_cannot_be_deleted_goes_with_its_batch(stage):
    from offload import Refused

    work = recorder()
    world = stage(work)
    work.delay("a")
    put_off(world, work.settings.max_receives - 1)
    world.queues.fail("delete", Refused("no permission"))
    world.run_until_idle()
    assert work.runs == [("a", 1)]
    assert world.waiting() == world.dead() == []


@pytest.mark.parametrize("why", ["failed", "poison", "ended", "lost on the last attempt", "payload"])
def test_what_would_not_start_is_not_renewed_in_its_last_receives(stage, why):
    work = recorder(retry=Retry(max_attempts=1))
    world = stage(work)

    def fail():
        raise ValueError("boom")

    work.play.update(fail=fail, die=world.kill)
    if why in ("poison", "payload"):
        world.send("no json" if why == "poison" else '{"payload": {"x": 1}}')
    else:
        work.delay("a", do={"failed": "fail", "lost on the last attempt": "die"}.get(why, ""))
        body = world.waiting()[0].body
        world.poll()
        world.clock.advance(400)
        if why == "ended":
            world.send(body)
    world.queues.calls.clear()
    put_off(world, work.settings.max_receives - 1)
    world.run_until_idle()
    assert world.queues.called("send") == []
    assert len(work.runs) == (why not in ("poison", "payload"))
    assert len(world.dead()) == (why != "ended")
    assert [job.state for job in world.jobs] == [State.SUCCEEDED if why == "ended" else State.FAILED]


@pytest.mark.parametrize("left", [3, 2, 1])
def test_a_job_that_waits_in_its_last_receives_is_renewed_as_it_is_handed_back(stage, left):
    work = recorder(retry=Retry(max_attempts=3, base="10m", jitter=False))
    world = stage(work)

    def fail_once():
        if len(work.runs) < 2:
            raise ValueError("boom")

    work.play["fail"] = fail_once
    job = work.delay("a", do="fail")
    world.poll()
    (message,) = world.waiting()
    world.queues.port.hold(world.queue(), message.message_id, 0)
    put_off(world, work.settings.max_receives - left)
    world.poll()  # not due yet
    assert len(work.runs) == 1
    assert world.dead() == []
    world.run_until_idle()
    assert work.runs == [("a", 1), ("a", 2)]
    assert job.status() is State.SUCCEEDED


@pytest.mark.parametrize("failed", [False, True])
def test_a_record_that_cannot_be_read_renews_nothing(stage, failed):
    """Least of all a failed message, which trouble in its last receives would otherwise send round again."""
    from offload import Unavailable

    work = recorder(retry=Retry(max_attempts=1))
    world = stage(work)

    def fail():
        raise ValueError("boom")

    work.play["fail"] = fail
    work.delay("a", do="fail" if failed else "")
    put_off(world, work.settings.max_receives - 4)
    world.queues.calls.clear()
    world.store.fail("get", Unavailable("throttled"), times=9)
    world.run_until_idle()
    assert work.runs == [("a", 1)]
    assert world.queues.called("send") == []
    assert len(world.dead()) == failed


def test_a_plain_job_is_not_looked_up(stage):
    work = recorder(retry=Retry(max_attempts=1))
    world = stage(work)
    work.delay("a")
    put_off(world, work.settings.max_receives - 5)
    world.run_until_idle()
    assert work.runs == [("a", 1)]
    assert world.store.called("get") == []


@pytest.mark.parametrize("text", ["é" * 300_000, "\\ud800", "\\uffff", "\U0001f600" * 100_000])
def test_renewal_does_not_swell_a_message(stage, text):
    work = recorder(retry=Retry(max_attempts=2, base="12h", cap="12h", jitter=False))
    world = stage(work)

    def fail():
        raise ValueError("boom")

    work.play["fail"] = fail
    body = f'{{"payload": {{"name": "", "do": "fail"}}, "note": "{text}"}}'
    world.send(body)
    world.drain()
    (copy,) = world.waiting()
    assert json.loads(copy.body)["note"] == json.loads(body)["note"]
    assert len(copy.body.encode()) < len(body.encode()) + 300
    assert not set("\uffff\ufffe") & set(copy.body)


def test_a_renewal_that_cannot_be_sent_leaves_the_message(stage):
    from offload import Unavailable

    work = recorder(retry=Retry(max_attempts=2, base="12h", cap="12h", jitter=False))
    world = stage(work)

    def fail():
        raise ValueError("boom")

    work.play["fail"] = fail
    work.delay("a", do="fail")
    world.queues.fail("send", Unavailable("throttled"), times=3)
    world.run_until_idle()
    assert len(work.runs) == 2
    assert len(world.dead()) == 1


def test_a_copy_sent_before_the_crash_that_left_the_original_runs_once(stage):
    work = recorder(retry=Retry(max_attempts=2, base="12h", cap="12h", jitter=False))
    world = stage(work)

    def fail_once():
        if len(work.runs) < 2:
            raise ValueError("boom")

    work.play["fail"] = fail_once
    work.delay("a", do="fail")
    batch = world.queues.receive(world.queue(), limit=1, visibility=360)
    world.mapping().invoke(batch)
    world.queues.send(world.queue(), Outgoing(batch[0].body))  # the original was never deleted
    world.run_until_idle()
    assert [attempt for _, attempt in work.runs] == [1, 2]
    assert world.waiting() == []


def test_killed_is_seen_by_nobody():
    assert not issubclass(Killed, Exception)
