"""What becomes of a job, from message to record and dead-letter queue."""

from __future__ import annotations

import asyncio
import json

import pytest

from offload import Permanent, Retry, RetryLater, State, current_job, task


@task(retry=Retry(max_attempts=3, base="10s", jitter=False))
def work(fail: int = 0, how: str = "error") -> int:
    if current_job().attempt <= fail:
        raise {"error": ValueError("boom"), "permanent": Permanent("never"), "later": RetryLater(delay="5m")}[how]
    return current_job().attempt


def test_a_job_succeeds_and_its_message_is_gone(stage):
    world = stage(work)
    job = work.delay()
    assert job.status() is State.PENDING
    world.drain()
    assert job.result(0) == 1
    assert world.waiting() == world.dead() == []
    assert world.states(job.id) == ["PENDING/0", "RUNNING/1", "SUCCEEDED/1"]


def test_a_failed_attempt_is_retried_after_its_backoff_and_no_sooner(stage):
    world = stage(work)
    job = work.delay(fail=2)
    begin = world.clock.now()
    world.poll()  # once: the message must not be received again before it is due
    record = job.record()
    assert (record.state, record.attempt) == (State.RETRYING, 1)
    assert record.next_at == begin + 10_000
    assert [message.visible_at for message in world.waiting()] == [begin + 10_000]
    world.clock.advance(9)
    world.drain()
    assert job.record().attempt == 1
    world.run_until_idle()
    assert job.result(0) == 3
    assert world.clock.now() == begin + 30_000
    assert world.states(job.id) == [
        "PENDING/0",
        "RUNNING/1",
        "RETRYING/1",
        "RUNNING/2",
        "RETRYING/2",
        "RUNNING/3",
        "SUCCEEDED/3",
    ]
    assert job.record().error is None


@pytest.mark.parametrize(
    ("how", "fail", "attempts", "kind"),
    [("error", 9, 3, "ValueError"), ("later", 9, 3, "RetryLater"), ("permanent", 9, 1, "Permanent")],
)
def test_a_final_failure_ends_in_the_dead_letter_queue_with_its_reason(stage, how, fail, attempts, kind):
    world = stage(work)
    job = work.delay(fail=fail, how=how)
    body = world.waiting()[0].body
    world.run_until_idle()
    record = job.record()
    assert (record.state, record.attempt, record.error["type"]) == (State.FAILED, attempts, kind)
    assert record.error["attempt"] == attempts
    assert "in work" in record.error["traceback"]
    assert "offload/runtime" not in record.error["traceback"]
    assert [message.body for message in world.dead()] == [body]
    assert world.waiting() == []


def test_retry_by_choice_waits_as_long_as_it_says(stage):
    world = stage(work)
    work.delay(fail=1, how="later")
    begin = world.clock.now()
    world.run_until_idle()
    assert world.clock.now() == begin + 300_000


def test_a_redrive_gives_fresh_attempts_and_keeps_the_history(stage):
    runs = []

    @task(retry=Retry(max_attempts=2, base="1s"))
    def flaky() -> str:
        runs.append(current_job().attempt)
        if len(runs) <= 3:
            raise ValueError("boom")
        return "well"

    world = stage(flaky)
    job = flaky.delay()
    world.run_until_idle()
    assert (job.status(), runs) == (State.FAILED, [1, 2])
    world.clock.advance(60)
    assert world.redrive() == 1
    world.run_until_idle()
    assert runs == [1, 2, 1, 2]
    assert job.result(0) == "well"
    record = job.record()
    assert record.redrives == 1
    states = [entry["state"] for entry in record.history]
    assert states.count("FAILED") == 1
    assert states[-1] == "SUCCEEDED"
    assert next(entry for entry in record.history if entry.get("note") == "redriven")["attempt"] == 1


def test_a_redriven_failure_is_buried_again(stage):
    world = stage(work)
    job = work.delay(fail=9, how="permanent")
    for times in range(1, 3):
        world.run_until_idle()
        assert len(world.dead()) == 1
        assert job.record().redrives == times - 1
        world.clock.advance(1)
        world.redrive()


@pytest.mark.parametrize("retries", [0, 1])
def test_a_bare_message_is_redriven_under_its_own_job(stage, retries):
    fixed = []

    @task(retry=Retry(max_attempts=1 + retries, base="1s"))
    def bare(x: int) -> int:
        if not fixed:
            raise ValueError("boom")
        return x

    world = stage(bare)
    job_id = world.send('{"payload": {"x": 5}}')
    world.run_until_idle()
    assert world.job(job_id).state is State.FAILED
    assert len(world.dead()) == 1
    fixed.append(1)
    world.clock.advance(60)
    world.redrive()
    world.run_until_idle()
    assert [item["id"] for item in world.store.items()] == [job_id]
    assert world.job(job_id).state is State.SUCCEEDED
    assert world.job(job_id).redrives == 1


def test_a_bare_message_is_a_job_under_its_message_id(stage):
    world = stage(work)
    job_id = world.send('{"payload": {}}')
    world.drain()
    record = world.job(job_id)
    assert (record.state, record.task, record.attempt, record.result) == (State.SUCCEEDED, "work", 1, "1")
    assert record.created_at == world.clock.now()


def test_an_async_task_runs(stage):
    @task
    async def sleepy(x: int) -> int:
        await asyncio.sleep(0)
        return x + current_job().attempt

    stage(sleepy).client.enqueue("sleepy", {"x": 4}, id="a")
    world = stage(sleepy)
    job = sleepy.delay(4)
    world.drain()
    assert job.result(0) == 5


@pytest.mark.parametrize(("size", "inline"), [(0, True), (8_190, True), (8_191, False)])
def test_a_large_result_goes_to_the_bucket(stage, size, inline):
    @task(result_ttl="36h")
    def large(n: int) -> str:
        return "x" * n

    world = stage(large)
    job = large.delay(size)
    world.drain()
    record = job.record()
    assert (record.result is not None) is inline
    assert bool(world.blobs.keys()) is not inline
    assert len(json.dumps(world.item(job.id))) < 10_000
    assert job.result(0) == "x" * size
    # The bucket's lifecycle rules go by the whole days in the key, rounded up.
    assert all(key.startswith("results/2d/large/") for key in world.blobs.keys())  # noqa: SIM118 - not a dict


def test_none_is_a_result(stage):
    @task
    def nothing() -> None: ...

    world = stage(nothing)
    job = nothing.delay()
    world.drain()
    assert job.result(0) is None
    assert "result" not in world.item(job.id)


@pytest.mark.parametrize("fails", [False, True])
def test_a_payload_in_the_bucket_is_read_or_its_absence_told(stage, fails):
    @task(retry=Retry(max_attempts=1))
    def size(text: str) -> int:
        return len(text)

    world = stage(size)
    job = size.delay("x" * 300_000)
    assert len(world.waiting()[0].body) < 1_000
    if fails:
        world.blobs.port._blobs.clear()
    world.run_until_idle()
    if fails:
        assert "payload_ref: nothing is stored at" in job.record().error["message"]
        assert job.record().attempt == 0
        assert len(world.dead()) == 1
    else:
        assert job.result(0) == 300_000


@pytest.mark.parametrize("stored", [b"{", b"[1]", b"\xff", b"[" * 100_000])
def test_a_payload_in_the_bucket_that_is_no_object_is_rejected(stage, stored):
    world = stage(work)
    ref = world.blobs.put("k", stored)
    job_id = world.send(json.dumps({"payload_ref": ref}))
    world.run_until_idle()
    assert world.job(job_id).error["message"].startswith("payload_ref: the object")
    assert len(world.dead()) == 1
