"""Services that throttle, fail or lose an answer: nothing unwritten is acknowledged, and nobody is charged for it."""

from __future__ import annotations

import json

import pytest

from offload import OffloadError, Permanent, Refused, Retry, State, Unavailable, current_job, task
from offload.core.writes import Conflict

TROUBLE = [Unavailable("throttled"), Refused("no permission")]


@pytest.fixture(params=TROUBLE, ids=["unavailable", "refused"])
def trouble(request):
    return request.param


def counting(**settings):
    runs = []

    @task(**settings)
    def work(fail: bool = False) -> str:
        runs.append(current_job().attempt)
        if fail:
            raise Permanent("no")
        return "done"

    work.runs = runs
    return work


def of_state(state):
    return lambda write: write.set.get("state") == state


def test_trouble_at_the_claim_charges_nothing(stage, trouble):
    work = counting(retry=Retry(max_attempts=1))
    world = stage(work)
    job = work.delay()
    world.store.fail("apply", trouble, times=3)
    for _ in range(3):
        world.poll()
        assert len(world.waiting()) == 1
        assert (work.runs, job.record().attempt) == ([], 0)
        world.clock.advance(900)
    world.settle()
    assert work.runs == [1]
    assert job.result(0) == "done"


@pytest.mark.parametrize("state", ["SUCCEEDED", "FAILED", "RETRYING"])
def test_an_end_that_was_not_written_is_not_acknowledged(stage, trouble, state):
    runs = []

    @task(retry=Retry(max_attempts=3, base="1s"))
    def work():
        runs.append(1)
        if len(runs) == 1 and state != "SUCCEEDED":
            raise Permanent("no") if state == "FAILED" else ValueError("again")

    world = stage(work)
    job = work.delay()
    world.store.fail("apply", trouble, where=of_state(state))
    world.poll()
    assert job.status() is State.RUNNING
    assert len(world.waiting()) == 1
    world.settle()
    # The run's outcome was unknown, so it ran again, and that start was charged as every start is.
    assert len(runs) == job.record().attempt == 2
    assert job.status() is State.SUCCEEDED


def test_an_end_of_the_last_attempt_that_was_not_written_fails_the_job(stage):
    """Nothing can tell this from a worker that died; the effect may have happened, so it is not run once more."""
    work = counting(retry=Retry(max_attempts=1))
    world = stage(work)
    job = work.delay()
    world.store.fail("apply", Unavailable("throttled"), where=of_state("SUCCEEDED"))
    world.settle()
    record = job.record()
    assert (work.runs, record.state, record.error["type"]) == ([1], State.FAILED, "WorkerLost")
    assert "could not record" in record.error["message"]
    assert len(world.dead()) == 1


@pytest.mark.parametrize("state", ["SUCCEEDED", "FAILED", "RETRYING"])
def test_an_end_whose_answer_was_lost_stands(stage, state):
    runs = []

    @task(retry=Retry(max_attempts=2, base="1s"))
    def work():
        runs.append(1)
        if state == "FAILED" or (state == "RETRYING" and len(runs) == 1):
            raise Permanent("no") if state == "FAILED" else ValueError("again")

    world = stage(work)
    job = work.delay()
    world.store.fail("apply", Unavailable("answer lost"), where=of_state(state), after=True)
    world.settle()
    assert len(runs) == (2 if state == "RETRYING" else 1)
    assert job.record().attempt == len(runs)
    assert job.status() is (State.FAILED if state == "FAILED" else State.SUCCEEDED)
    assert len(world.dead()) == (state == "FAILED")


@pytest.mark.parametrize("state", ["RUNNING", "SUCCEEDED", "RETRYING", "FAILED"])
def test_a_write_that_meets_its_own_effect_counts_as_done(stage, state):
    """The transport sends a request again whose answer was lost; the second one conflicts with the first."""
    runs = []

    @task(retry=Retry(max_attempts=2, base="1s"))
    def work():
        runs.append(1)
        if state == "FAILED" or (state == "RETRYING" and len(runs) == 1):
            raise Permanent("no") if state == "FAILED" else ValueError("again")

    world = stage(work)
    job = work.delay()
    original, repeated = world.store._port.apply, []

    def twice(write):
        after = original(write)
        if write.set.get("state") == state and not repeated:
            repeated.append(1)
            raise Conflict(after)
        return after

    world.store._port.apply = twice
    world.settle()
    assert repeated
    assert len(runs) == job.record().attempt == (2 if state == "RETRYING" else 1)
    assert job.status() is (State.FAILED if state == "FAILED" else State.SUCCEEDED)


def test_a_bucket_that_does_not_answer_leaves_a_large_result_unacknowledged(stage):
    runs = []

    @task(retry=Retry(max_attempts=2))
    def large() -> str:
        runs.append(1)
        return "x" * 10_000

    world = stage(large)
    job = large.delay()
    world.blobs.fail("put", Unavailable("slow down"))
    world.settle()
    assert len(runs) == 2
    assert job.result(0) == "x" * 10_000


@pytest.mark.parametrize("how", ["unavailable", "gone"])
def test_a_payload_that_cannot_be_read_now_is_told_from_one_that_is_gone(stage, how):
    runs = []

    @task
    def size(text: str) -> int:
        runs.append(1)
        return len(text)

    world = stage(size)
    job = size.delay("x" * 300_000)
    world.blobs.fail("get", Unavailable("slow down") if how == "unavailable" else Refused("NoSuchKey"))
    world.settle()
    assert job.status() is (State.SUCCEEDED if how == "unavailable" else State.FAILED)
    assert len(runs) == (how == "unavailable")


def test_backoff_of_our_own_trouble_grows_and_is_bounded(stage):
    work = counting()
    world = stage(work)
    work.delay()
    waits = []
    for _ in range(10):
        world.store.fail("apply", Unavailable("throttled"))
        world.poll()
        (message,) = world.waiting()
        waits.append((message.visible_at - world.clock.now()) / 1000)
        world.clock.advance_to(message.visible_at)
    assert all(min(900, 2**n) / 2 <= wait <= min(900, 2**n) + 1 for n, wait in enumerate(waits, 1))


def test_a_message_whose_visibility_cannot_be_changed_comes_back_by_itself(stage, trouble):
    work = counting(retry=Retry(max_attempts=2))
    world = stage(work)
    job = work.delay(fail=True)
    world.queues.fail("change_visibility", trouble, times=50)
    begin = world.clock.now()
    world.poll()
    assert [message.visible_at for message in world.waiting()] == [begin + 360_000]
    world.settle()
    assert work.runs == [1]
    assert job.status() is State.FAILED
    assert len(world.dead()) == 1


def test_a_rejection_that_could_not_be_written_is_tried_again(stage):
    work = counting()
    world = stage(work)
    job_id = world.send("no json")
    world.store.fail("apply", Unavailable("throttled"), times=2)
    world.settle()
    assert world.job(job_id).error["type"] == "MessageError"
    assert [message.body for message in world.dead()] == ["no json"]


def test_a_poison_body_in_an_endless_outage_ends_in_the_dead_letter_queue_unchanged(stage):
    work = counting()
    world = stage(work)
    world.send("no json")
    world.store.fail("apply", Unavailable("throttled"), times=1000)
    world.settle()
    assert [message.body for message in world.dead()] == ["no json"]


def test_one_job_in_trouble_does_not_hold_up_its_batch(stage):
    work = counting(batch_size=10)
    world = stage(work)
    jobs = [work.delay() for _ in range(3)]
    world.store.fail("apply", Unavailable("throttled"), where=lambda write: write.id == jobs[0].id)
    world.poll()
    assert [job.status() for job in jobs] == [State.PENDING, State.SUCCEEDED, State.SUCCEEDED]
    assert [failure["itemIdentifier"] for failure in world.responses[0]["batchItemFailures"]] == [
        message.message_id for message in world.waiting()
    ]


def test_a_fault_of_our_own_fails_its_message_only(stage):
    work = counting(batch_size=10)
    world = stage(work)
    jobs = [work.delay() for _ in range(2)]
    world.store.fail("apply", ZeroDivisionError("a defect"), where=lambda write: write.id == jobs[0].id)
    world.poll()
    assert [job.status() for job in jobs] == [State.PENDING, State.SUCCEEDED]
    world.settle()
    assert jobs[0].status() is State.SUCCEEDED


def test_a_record_without_the_attributes_of_a_receive_fails_alone(stage):
    work = counting(batch_size=10)
    world = stage(work)
    jobs = [work.delay() for _ in range(2)]
    batch = world.queues.receive(world.queue(), limit=10, visibility=360)
    from tests.pipeline import Context, _record

    records = [_record(world.queue(), message) for message in batch]
    del records[0]["attributes"]["SentTimestamp"]
    response = world.worker()({"Records": records}, Context(world.clock, 60))
    assert response == {"batchItemFailures": [{"itemIdentifier": batch[0].message_id}]}
    assert [job.status() for job in jobs] == [State.PENDING, State.SUCCEEDED]
    assert "the worker failed on a message" in world.log.getvalue()


@pytest.mark.parametrize("event", [{}, {"Records": []}, {"detail": {}}])
def test_an_event_that_is_no_batch_is_an_error(stage, event):
    from tests.pipeline import Context

    world = stage(counting())
    with pytest.raises(Exception, match="Unexpected batch event type"):
        world.worker()(event, Context(world.clock, 60))


# Progress


def test_progress_is_written_once_a_second_and_its_last_word_with_the_end(stage):
    @task
    def steps():
        for n in range(30):
            current_job().progress(n, 30, stage=f"step {n}")
            world.clock.advance(0.1)

    world = stage(steps)
    job = steps.delay()
    world.store.calls.clear()
    world.poll()
    writes = [write for (write,) in world.store.called("apply") if "progress" in write.set and "state" not in write.set]
    assert [write.set["progress"]["current"] for write in writes] == [0, 10, 20]
    assert job.record().progress == {"current": 29, "total": 30, "stage": "step 29", "at": world.clock.now() - 100}


def test_progress_is_no_reason_to_fail(stage):
    @task(retry=Retry(max_attempts=1))
    def steps() -> str:
        current_job().progress(1)
        return "done"

    world = stage(steps)
    job = steps.delay()
    world.store.fail("apply", Unavailable("throttled"), where=lambda write: "state" not in write.set)
    world.poll()
    assert job.result(0) == "done"
    assert job.record().progress["current"] == 1


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**40, "many"])
def test_progress_that_cannot_be_stored_fails_where_it_is_said(stage, value):
    @task(retry=Retry(max_attempts=1))
    def steps():
        current_job().progress(1)
        current_job().progress(value)  # within the pace: only remembered

    world = stage(steps)
    job = steps.delay()
    world.settle()
    assert job.record().error["type"] == "ValueError"
    assert "in steps" in job.record().error["traceback"]


def test_a_cancel_is_looked_for_once_a_second(stage):
    @task
    def steps():
        for _ in range(40):
            assert not current_job().cancelled
            world.clock.advance(0.1)

    world = stage(steps)
    job = steps.delay()
    world.store.calls.clear()
    world.poll()
    assert job.status() is State.SUCCEEDED
    assert len(world.store.called("get")) - 1 == 3  # one is the line above


def test_current_job_knows_its_place(stage):
    seen = {}

    @task(timeout="1m", soft_timeout="50s")
    def look():
        job = current_job()
        seen.update(id=job.id, task=job.task, attempt=job.attempt, tenant=job.tenant, hops=job.hops, left=job.remaining)
        world.clock.advance(20)
        seen["later"] = job.remaining

    world = stage(look)
    job = look.options(tenant="acme").delay()
    world.poll()
    assert seen == {
        "id": job.id,
        "task": "look",
        "attempt": 1,
        "tenant": "acme",
        "hops": 0,
        "left": 50.0,
        "later": 30.0,
    }
    plain = current_job()
    plain.progress(1, 2, stage="said to nobody")
    assert (plain.attempt, plain.cancelled, plain.tenant, plain.hops) == (1, False, None, 0)
    for missing in ("id", "task"):
        with pytest.raises(OffloadError, match="only there while a job runs"):
            getattr(plain, missing)


# The price of a job


def writes(world):
    return [write for (write,) in world.store.called("apply")]


@pytest.mark.parametrize(("tracked", "expected"), [(False, 2), (True, 3)])
def test_a_job_that_simply_succeeds_costs_no_more_writes(stage, tracked, expected):
    work = counting()
    world = stage(work)
    if tracked:
        work.delay()
    else:
        world.send('{"payload": {}}')
    world.drain()
    assert len(writes(world)) == expected
    assert world.store.called("get") == world.store.called("find") == []
    assert not any("idx" in {*write.set, *write.default} for write in writes(world))
    (item,) = world.store.items()
    assert "idx" not in item
    assert len(json.dumps(item)) < 1024  # a write unit


def test_a_duplicate_costs_one_write(stage):
    work = counting()
    world = stage(work)
    world.send('{"id": "a", "payload": {}}')
    world.send('{"id": "a", "payload": {}}')
    world.drain()
    assert len(writes(world)) == 3


def test_the_client_costs_one_send_and_one_write(stage):
    work = counting()
    world = stage(work)
    work.delay_many([{}] * 25)
    assert len(world.queues.called("send_batch")) == 1
    assert len(writes(world)) == 25
