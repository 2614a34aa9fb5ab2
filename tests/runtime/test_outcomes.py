"""What becomes of a job, from its message to its record and the dead-letter queue."""

from __future__ import annotations

import asyncio
import json

import pytest

from offload import Retry, State, current_job, task
from offload.core.retention import payload_key
from tests.runtime.scripted_task import ScriptedTask, fail, fail_for_good, run_again_in

THREE_ATTEMPTS = Retry(max_attempts=3, base="10s", jitter=False)


def test_a_job_succeeds_and_its_message_is_gone(deploy):
    work = ScriptedTask()
    pipeline = deploy(work)

    job = work.delay("a")
    assert job.status() is State.PENDING
    pipeline.drain()

    assert job.result(0) == "a"
    assert pipeline.waiting() == pipeline.dead() == []
    assert pipeline.states(job.id) == ["PENDING/0", "RUNNING/1", "SUCCEEDED/1"]


def test_none_is_a_result(deploy):
    @task
    def nothing() -> None: ...

    pipeline = deploy(nothing)
    job = nothing.delay()
    pipeline.drain()

    assert job.result(0) is None
    assert "result" not in pipeline.record(job.id)


def test_an_async_task_runs(deploy):
    @task
    async def sleepy(x: int) -> int:
        await asyncio.sleep(0)
        return x + current_job().attempt

    pipeline = deploy(sleepy)
    jobs = [sleepy.delay(4), pipeline.client.enqueue("sleepy", {"x": 5})]
    pipeline.drain()

    assert [job.result(0) for job in jobs] == [5, 6]


def test_a_bare_message_is_a_job_under_its_message_id(deploy):
    pipeline = deploy(ScriptedTask())

    job_id = pipeline.send('{"payload": {"name": "a"}}')
    pipeline.drain()

    record = pipeline.job(job_id)
    assert (record.state, record.task, record.attempt, record.result) == (State.SUCCEEDED, "work", 1, '"a"')
    assert record.created_at == pipeline.clock.now()


# Retries


def test_a_failed_attempt_is_retried_after_its_backoff_and_no_sooner(deploy):
    work = ScriptedTask(retry=THREE_ATTEMPTS)
    pipeline = deploy(work)
    work.on_first_runs(2, fail)
    job = work.delay("a")
    began_at = pipeline.clock.now()

    pipeline.poll()

    record = job.record()
    assert (record.state, record.attempt) == (State.RETRYING, 1)
    assert record.next_at == began_at + 10_000
    assert [message.visible_at for message in pipeline.waiting()] == [began_at + 10_000]

    pipeline.clock.advance(9)
    pipeline.drain()
    assert work.attempts == [1]
    assert job.record().attempt == 1
    pipeline.run_until_idle()

    assert job.result(0) == "a"
    assert pipeline.clock.now() == began_at + 30_000
    assert pipeline.states(job.id) == [
        "PENDING/0",
        "RUNNING/1",
        "RETRYING/1",
        "RUNNING/2",
        "RETRYING/2",
        "RUNNING/3",
        "SUCCEEDED/3",
    ]
    assert job.record().error is None


def test_a_job_that_asks_to_run_again_waits_as_long_as_it_says(deploy):
    work = ScriptedTask(retry=THREE_ATTEMPTS)
    pipeline = deploy(work)
    work.on_run(1, run_again_in("5m"))
    job = work.delay("a")
    began_at = pipeline.clock.now()

    pipeline.run_until_idle()

    assert pipeline.clock.now() == began_at + 300_000
    assert job.result(0) == "a"


@pytest.mark.parametrize(
    ("ends", "attempts", "kind"),
    [(fail, 3, "ValueError"), (run_again_in("5m"), 3, "RetryLater"), (fail_for_good, 1, "Permanent")],
    ids=["error", "later", "permanent"],
)
def test_a_final_failure_ends_in_the_dead_letter_queue_with_its_reason(deploy, ends, attempts, kind):
    work = ScriptedTask(retry=THREE_ATTEMPTS)
    pipeline = deploy(work)
    work.on_every_run(ends)
    job = work.delay("a")
    body = pipeline.waiting()[0].body

    pipeline.run_until_idle()

    record = job.record()
    assert (record.state, record.attempt, record.error["type"]) == (State.FAILED, attempts, kind)
    assert record.error["attempt"] == attempts
    assert "in work" in record.error["traceback"]
    assert "offload/runtime" not in record.error["traceback"]
    (dead,) = pipeline.dead()
    assert json.loads(dead.body) | json.loads(body) == json.loads(dead.body), "a copy adds fields, and changes none"
    assert pipeline.waiting() == []


# Redrives


def test_a_redrive_gives_fresh_attempts_and_keeps_the_history(deploy):
    work = ScriptedTask(retry=Retry(max_attempts=2, base="1s"))
    pipeline = deploy(work)
    work.on_first_runs(3, fail)
    job = work.delay("a")
    pipeline.run_until_idle()
    assert (job.status(), work.attempts) == (State.FAILED, [1, 2])

    pipeline.clock.advance(60)
    assert pipeline.redrive() == 1
    pipeline.run_until_idle()

    assert work.attempts == [1, 2, 1, 2]
    assert job.result(0) == "a"
    record = job.record()
    assert record.redrives == 1
    states = [entry["state"] for entry in record.history]
    assert states.count("FAILED") == 1
    assert states[-1] == "SUCCEEDED"
    assert next(entry for entry in record.history if entry.get("note") == "redriven")["attempt"] == 1


def test_a_redriven_job_that_fails_again_goes_to_the_dead_letter_queue_again(deploy):
    work = ScriptedTask(retry=THREE_ATTEMPTS)
    pipeline = deploy(work)
    work.on_every_run(fail_for_good)
    job = work.delay("a")

    for redrives in (0, 1):
        pipeline.run_until_idle()
        assert len(pipeline.dead()) == 1
        assert job.record().redrives == redrives
        pipeline.clock.advance(1)
        pipeline.redrive()


@pytest.mark.parametrize("attempts", [1, 2])
def test_a_bare_message_is_redriven_under_its_own_job(deploy, attempts):
    work = ScriptedTask(retry=Retry(max_attempts=attempts, base="1s"))
    pipeline = deploy(work)
    work.on_first_runs(attempts, fail)
    job_id = pipeline.send('{"payload": {"name": "a"}}')
    pipeline.run_until_idle()
    assert pipeline.job(job_id).state is State.FAILED
    assert len(pipeline.dead()) == 1

    pipeline.clock.advance(60)
    pipeline.redrive()
    pipeline.run_until_idle()

    assert [record["id"] for record in pipeline.store.items()] == [job_id]
    assert pipeline.job(job_id).state is State.SUCCEEDED
    assert pipeline.job(job_id).redrives == 1


# The bucket


@pytest.mark.parametrize(("size", "inline"), [(0, True), (8_190, True), (8_191, False)])
def test_a_large_result_goes_to_the_bucket(deploy, size, inline):
    @task(result_ttl="36h")
    def large(n: int) -> str:
        return "x" * n

    pipeline = deploy(large)
    job = large.delay(size)
    pipeline.drain()

    record = job.record()
    assert (record.result is not None) is inline
    assert bool(pipeline.blobs.keys()) is not inline
    assert len(json.dumps(pipeline.record(job.id))) < 10_000
    assert job.result(0) == "x" * size
    # The bucket's lifecycle rules go by the whole days in the key, rounded up.
    assert all(key.startswith("results/7d/large/") for key in pipeline.blobs.keys())  # noqa: SIM118 - not a dict


def test_a_large_payload_is_read_from_the_bucket(deploy):
    work = ScriptedTask(retry=Retry(max_attempts=1))
    pipeline = deploy(work)

    job = work.delay("x" * 300_000)
    assert len(pipeline.waiting()[0].body) < 1_000
    pipeline.run_until_idle()

    assert job.result(0) == "x" * 300_000


def test_a_payload_that_is_gone_from_the_bucket_is_told(deploy):
    pipeline = deploy(ScriptedTask(retry=Retry(max_attempts=1)))
    ref = {"bucket": pipeline.blobs.bucket, "key": payload_key("work", "gone", 0)}

    pipeline.send(json.dumps({"id": "gone", "payload_ref": ref}))
    pipeline.run_until_idle()

    job = pipeline.job("gone")
    assert "payload_ref: nothing is stored at" in job.error["message"]
    assert job.attempt == 0
    assert len(pipeline.dead()) == 1


@pytest.mark.parametrize("stored", [b"{", b"[1]", b"\xff", b"[" * 100_000])
def test_a_payload_in_the_bucket_that_is_no_object_is_rejected(deploy, stored):
    pipeline = deploy(ScriptedTask())
    ref = pipeline.blobs.put(payload_key("work", "odd", 0), stored)

    pipeline.send(json.dumps({"id": "odd", "payload_ref": ref}))
    pipeline.run_until_idle()

    assert pipeline.job("odd").error["message"].startswith("payload_ref: the object")
    assert len(pipeline.dead()) == 1
