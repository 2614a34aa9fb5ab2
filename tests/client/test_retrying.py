"""Retrying by hand: what becomes of a job in each state, and that it runs exactly once more."""

from __future__ import annotations

import asyncio
import json

import pytest

from offload import (
    NoDeadLetter,
    Permanent,
    Refused,
    Retry,
    State,
    Unavailable,
    UnknownJob,
    WrongState,
    current_job,
    task,
)
from offload.core.jobs import Job
from offload.core.manifest import dead_letter_name
from offload.core.ports import Outgoing
from offload.core.writes import Conflict

HOUR = 3600


class Play:
    """What the task does: notes each run, and fails as long as it is told to."""

    def __init__(self):
        self.runs, self.fails, self.then = [], True, lambda: None

    def __call__(self):
        self.runs.append(current_job().attempt)
        self.then()
        if self.fails:
            raise ValueError("boom")


@pytest.fixture
def play():
    return Play()


@pytest.fixture
def work(play):
    @task(priorities=("default", "high"), retry=Retry(max_attempts=2, base="6h", cap="6h", jitter=False))
    def work(name: str = "") -> str:
        play()
        return name

    return work


@pytest.fixture
def world(stage, work):
    return stage(work)


def dead_queue(lane="default"):
    return dead_letter_name("test", "work", lane)


# FAILED


def test_a_failed_job_gets_all_its_attempts_anew_and_keeps_its_history(world, work, play):
    job = work.delay("a")
    world.run_until_idle()
    assert play.runs == [1, 2]
    back = job.retry()
    assert (back.state, back.attempt, back.redrives, back.finished_at) == (State.PENDING, 0, 1, None)
    assert "idx" not in world.item(job.id)
    assert world.dead() == []
    world.run_until_idle()
    assert play.runs == [1, 2, 1, 2]
    once = ["PENDING/0", "RUNNING/1", "RETRYING/1", "RUNNING/2", "FAILED/2"]
    assert world.states(job.id) == once + once
    play.fails = False
    job.retry()
    world.run_until_idle()
    assert job.result(0) == "a"
    assert job.record().redrives == 2


def test_whoever_waits_after_a_retry_waits_for_the_new_end(world, work, play):
    job = work.delay("a")
    world.run_until_idle()
    play.fails = False
    job.retry()
    world.clock.call_at(world.clock.now() + 20_000, world.drain)
    assert job.result(60) == "a"


def test_a_worker_may_be_faster_than_the_record(world, work, play):
    job = work.delay("a")
    world.run_until_idle()
    send = world.queues.port.send

    def worker_first(queue, message):
        message_id = send(queue, message)
        world.drain()
        return message_id

    world.queues.port.send = worker_first
    play.runs.clear()
    play.fails = False
    assert job.retry().state is State.SUCCEEDED
    world.run_until_idle()
    assert play.runs == [1]
    assert (job.status(), job.record().redrives) == (State.SUCCEEDED, 1)


def test_a_run_that_fails_within_the_same_millisecond_is_not_undone(world, work):
    """The worker has run the job to its end, and its message lies in the DLQ again: PENDING would wait for ever."""
    job = work.delay("a")
    world.run_until_idle()
    before = job.record().finished_at
    send = world.queues.port.send

    def worker_first(queue, message):
        message_id = send(queue, message)
        world.run_until_idle()
        world.store.port._items[job.id]["finished_at"] = before
        return message_id

    world.queues.port.send = worker_first
    assert job.retry().state is State.FAILED
    assert len(world.dead()) == 1


def test_a_message_that_is_refused_before_the_record_is_written_leaves_the_job_failed(world, work):
    """Its payload does not fit the task any more. No run began, so only the time tells this failure from the first."""
    job = work.delay("a")
    world.run_until_idle()
    before = job.record()

    def work(count: int) -> None: ...

    world.deploy(task(priorities=("default", "high"))(work))
    send = world.queues.port.send

    def worker_first(queue, message):
        message_id = send(queue, message)
        world.clock.advance(1)
        world.run_until_idle()
        return message_id

    world.queues.port.send = worker_first
    after = job.retry()
    assert (after.state, after.error["type"]) == (State.FAILED, "PayloadError")
    assert after.finished_at > before.finished_at
    assert len(world.dead()) == 1


def test_a_failed_job_whose_message_is_on_its_way_is_waited_for(world, work, play):
    job = work.delay("a")
    world.drain()
    world.clock.advance(6 * HOUR)
    world.poll()  # the last attempt fails; its message is received until maxReceiveCount
    assert job.status() is State.FAILED
    assert world.dead() == []
    play.fails = False
    begin = world.clock.now()
    world.clock.call_at(begin + 12_000, world.drain)
    assert job.retry().state is State.PENDING
    assert 12_000 <= world.clock.now() - begin <= 16_000
    world.run_until_idle()
    assert job.result(0) == "a"


def test_a_message_sent_again_right_after_the_failure_counts_as_redriven(world, work, play):
    """Should this process die before it has written the record, only the send time tells the worker."""
    job = work.delay("a")
    world.run_until_idle()
    play.fails = False
    world.store.fail("apply", Unavailable("down"))
    job.retry()
    world.run_until_idle()
    assert job.result(0) == "a"


@pytest.mark.parametrize("timeout", [0, 5, 30])
def test_a_message_that_is_gone_is_told_in_time(world, work, timeout):
    job = work.delay("a")
    world.run_until_idle()
    world.queues.purge(dead_queue())
    begin = world.clock.now()
    with pytest.raises(NoDeadLetter, match="its message is not in the dead-letter queue of 'work'") as told:
        job.retry(timeout)
    assert "purged, has expired after 14 days, is still on its way" in str(told.value)
    assert timeout * 1000 <= world.clock.now() - begin <= timeout * 1000 + 3_000
    assert job.status() is State.FAILED


def test_the_jobs_lane_comes_first_and_the_others_after_it(world, work):
    job = work.options(priority="high").delay("a")
    world.run_until_idle()
    world.queues.calls.clear()
    job.retry()
    assert [arguments[0] for arguments in world.queues.called("receive")] == [dead_queue("high")]
    world.run_until_idle()
    world.store.port._items[job.id]["lane"] = "default"  # a program that did not say which lane it sent to
    job.retry()
    assert len(world.queues.messages(world.queue(lane="high"))) == 1


def test_the_other_dead_letters_are_put_back(world, work):
    jobs = [work.delay(str(n)) for n in range(25)]
    world.run_until_idle()
    jobs[20].retry()
    assert len(world.dead()) == 24
    assert all(message.visible_at <= world.clock.now() for message in world.dead())
    world.run_until_idle()
    assert [job.record().redrives for job in jobs] == [0] * 20 + [1] + [0] * 4


def test_it_stops_as_soon_as_the_message_is_found(world, work):
    jobs = [work.delay(str(n)) for n in range(25)]
    world.run_until_idle()
    world.queues.calls.clear()
    world.store.calls.clear()
    jobs[0].retry()
    assert {name: len(world.queues.called(name)) for name, _ in world.queues.calls} == {
        "receive": 1, "send": 1, "delete": 1, "change_visibility": 9
    }  # fmt: skip
    assert [name for name, _ in world.store.calls] == ["get", "apply"]


def test_a_retry_that_died_is_soon_forgotten(world, work, play):
    job = work.delay("a")
    world.run_until_idle()
    for method in ("send", "change_visibility"):
        world.queues.fail(method, Unavailable("down"))
    with pytest.raises(Unavailable):
        job.retry()
    world.clock.advance(100)
    play.fails = False
    assert job.retry().state is State.PENDING
    world.run_until_idle()
    assert job.result(0) == "a"


def test_a_bare_message_comes_back_as_its_own_job(world, play):
    job_id = world.send('{"payload": {"name": "a"}}')
    world.run_until_idle()
    play.fails = False
    assert world.client.retry(job_id).state is State.PENDING
    world.run_until_idle()
    assert [item["id"] for item in world.store.items()] == [job_id]
    assert world.job(job_id).state is State.SUCCEEDED


def test_a_bare_message_that_breaks_the_contract_would_be_another_job(world):
    job_id = world.send("no json")
    world.run_until_idle()
    with pytest.raises(WrongState, match="its message breaks the contract without naming the job"):
        world.client.retry(job_id)
    assert world.job(job_id).state is State.FAILED
    (message,) = world.dead()
    assert message.visible_at <= world.clock.now()


def test_a_message_that_breaks_the_contract_and_names_its_job_fails_again(world):
    world.send('{"id": "broken", "version": 9, "payload": {}}')
    world.run_until_idle()
    world.client.retry("broken")
    world.run_until_idle()
    assert world.job("broken").state is State.FAILED
    assert len(world.dead()) == 1


def test_a_job_that_was_to_start_by_a_time_is_run_after_it(world, work, play):
    job = work.options(expires="1m").delay("a")
    world.run_until_idle()
    play.fails = False
    assert world.clock.now() > job.record().expires_at
    job.retry()
    world.run_until_idle()
    assert job.result(0) == "a"


def test_a_job_brought_back_can_be_cancelled(world, work, play):
    job = work.delay("a")
    world.run_until_idle()
    play.runs.clear()
    job.retry()
    assert job.cancel().state is State.CANCELLED
    world.run_until_idle()
    assert play.runs == []
    assert world.waiting() == world.dead() == []


def test_a_record_that_was_not_written_does_not_undo_the_retry(world, work, play, caplog):
    job = work.delay("a")
    world.run_until_idle()
    play.fails = False
    world.store.fail("apply", Unavailable("throttled"))
    job.retry()
    assert "waits for the worker" in caplog.text
    world.run_until_idle()
    assert (job.result(0), job.record().redrives) == ("a", 1)


def test_another_operator_was_faster(world, work):
    job = work.delay("a")
    world.run_until_idle()
    receive = world.queues.port.receive

    def taken(queue, **options):
        world.queues.port.receive = receive
        world.client.retry(job.id)
        return receive(queue, **options)

    world.queues.port.receive = taken
    with pytest.raises(WrongState, match="is PENDING"):
        job.retry()
    assert len(world.waiting()) == 1


# RETRYING


@pytest.fixture
def waiting(world, work):
    job = work.delay("a")
    world.drain()
    assert job.status() is State.RETRYING
    world.clock.advance(HOUR)
    return job


def test_a_job_that_waits_runs_at_once(world, play, waiting):
    play.fails = False
    world.queues.calls.clear()
    world.store.calls.clear()
    record = waiting.retry()
    assert (record.state, record.next_at, record.attempt) == (State.RETRYING, world.clock.now(), 1)
    assert [name for name, _ in world.store.calls] == ["get", "apply"]
    assert [name for name, _ in world.queues.calls] == ["change_visibility"]
    world.drain()
    assert waiting.result(0) == "a"
    assert play.runs == [1, 2]
    assert waiting.record().redrives == 0


def test_where_a_message_waits_is_not_shown(world, waiting):
    item = world.item(waiting.id)
    (message,) = world.waiting()
    assert item["parked"] == {"queue": world.queue(), "receipt": message.receipt}
    shown = str(waiting.record().describe()) + repr(Job.read(item))
    assert "parked" not in shown
    assert message.receipt not in shown


@pytest.mark.parametrize("end", ["runs", "fails", "dies", "cancelled", "rejected", "retried"])
def test_it_is_forgotten_when_the_wait_is_over(world, play, waiting, end):
    first = world.item(waiting.id)["parked"]
    if end == "cancelled":
        waiting.cancel()
    elif end == "rejected":
        world.send(json.dumps({"id": waiting.id, "payload": {"nope": 1}}))
        world.poll()
        assert waiting.status() is State.FAILED
    else:
        play.fails = end == "fails"
        play.then = world.kill if end == "dies" else lambda: None
        if end == "retried":
            waiting.retry()
            assert world.item(waiting.id)["parked"] == first
        world.clock.advance(6 * HOUR)
        world.poll()
        assert waiting.record().attempt == 2
    assert "parked" not in world.item(waiting.id)


@pytest.mark.parametrize("trouble", ["renewed", "visible", "refused"])
def test_a_message_that_is_not_in_flight_finds_its_job_due(world, play, waiting, trouble):
    play.fails = False
    begin = world.clock.now()
    (message,) = world.waiting()
    if trouble == "renewed":  # as when it would have been hidden for more than 12 hours
        world.queues.delete(world.queue(), message.receipt)
        world.queues.send(world.queue(), Outgoing(message.body, delay=900))
    elif trouble == "visible":
        world.queues.change_visibility(world.queue(), message.receipt, 0)
    else:
        world.queues.fail("change_visibility", Refused("not in flight"))
    assert waiting.retry().state is State.RETRYING
    world.run_until_idle()
    assert waiting.result(0) == "a"
    assert play.runs == [1, 2]
    if trouble != "refused":
        assert world.clock.now() - begin <= 900_000


def test_a_record_from_before_messages_were_noted(world, play, waiting):
    del world.store.port._items[waiting.id]["parked"]
    play.fails = False
    assert waiting.retry().next_at == world.clock.now()
    world.run_until_idle()
    assert waiting.result(0) == "a"


def test_a_service_that_does_not_answer_can_be_asked_again(world, play, waiting):
    world.queues.fail("change_visibility", Unavailable("down"))
    with pytest.raises(Unavailable):
        waiting.retry()
    play.fails = False
    waiting.retry()
    world.drain()
    assert waiting.result(0) == "a"


def test_another_wait_than_the_one_that_was_looked_at_is_left_alone(world, waiting):
    """Between look and write the next attempt began and failed: the wait before it is over."""
    get = world.store.port.get
    looks = []

    def stale(key):
        item = get(key)
        looks.append(key)
        return {**item, "parked": {"queue": "test-work", "receipt": "an earlier wait's"}} if len(looks) == 1 else item

    world.store.port.get = stale
    world.queues.calls.clear()
    waiting.retry()
    assert len(looks) == 2
    ((_, receipt, _),) = world.queues.called("change_visibility")
    assert receipt == world.item(waiting.id)["parked"]["receipt"]


# Every other state


@pytest.mark.parametrize("state", [state for state in State if state not in (State.FAILED, State.RETRYING)])
def test_every_other_state_is_refused_and_nothing_is_touched(world, work, state):
    job = work.options(delay="1m" if state is State.SCHEDULED else None).delay("a")
    world.store.port._items[job.id]["state"] = state.value
    before = json.dumps(world.store.items())
    world.queues.calls.clear()
    with pytest.raises(WrongState, match=f"^job {job.id} is {state}: .{{15,}}"):
        job.retry()
    assert json.dumps(world.store.items()) == before
    assert world.queues.calls == []


def test_a_job_without_a_record_is_pending_or_unknown(world, work):
    world.store.fail("apply", Unavailable("down"))
    job = work.delay("a")
    with pytest.raises(WrongState, match="is PENDING"):
        job.retry()
    with pytest.raises(UnknownJob, match="no job"):
        world.client.retry(job.id)


def test_a_job_that_keeps_changing_is_given_up(world, waiting):
    world.store.fail("apply", Conflict({"state": "RETRYING"}), times=99)
    with pytest.raises(Unavailable, match="keeps changing"):
        waiting.retry()


def test_async(waiting):
    assert asyncio.run(waiting.aretry()).state is State.RETRYING


def test_permanent_failures_too(stage):
    @task(retry=Retry(max_attempts=3))
    def never() -> None:
        raise Permanent("no")

    world = stage(never)
    job = never.delay()
    world.run_until_idle()
    job.retry()
    world.run_until_idle()
    assert world.states(job.id) == ["PENDING/0", "RUNNING/1", "FAILED/1"] * 2
