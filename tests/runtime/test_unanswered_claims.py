"""A claim that was refused or not answered charges no attempt, and is recognised if it is in force all the same."""

from __future__ import annotations

import pytest

from offload import RateLimit, Retry, State, Unavailable
from offload.core.writes import holds
from tests.runtime.interference import NO_ANSWER, outage, to_record, to_state
from tests.runtime.scripted_task import ScriptedTask, fail


def test_a_claim_that_cannot_be_written_charges_nothing(deploy, service_error):
    work = ScriptedTask(retry=Retry(max_attempts=1))
    pipeline = deploy(work)
    job = work.delay("a")

    with outage(pipeline.store, error=service_error):
        for _ in range(3):
            pipeline.poll()
            assert len(pipeline.waiting()) == 1
            assert (work.runs, job.record().attempt) == ([], 0)
            pipeline.clock.advance(900)
    pipeline.run_until_idle()

    assert work.attempts == [1]
    assert job.result(0) == "a"


@pytest.mark.parametrize("before", ["nothing", "a dead worker", "a redrive"])
def test_a_claim_whose_answer_was_lost_is_recognised_after_the_batch(deploy, before):
    attempts = 2 if before == "a dead worker" else 1
    work = ScriptedTask(batch_size=3, retry=Retry(max_attempts=attempts), timeout="1m", soft_timeout="10s")
    pipeline = deploy(work)
    unanswered = work.delay("unanswered")
    if before == "a dead worker":
        work.on_run(1, pipeline.kill, of="unanswered")
        pipeline.poll()
        pipeline.clock.advance(360)
    if before == "a redrive":
        work.on_run(1, fail, of="unanswered")
        pipeline.run_until_idle()
        pipeline.clock.advance(60)
        pipeline.redrive()
    others = [work.delay("b"), work.delay("c")]
    work.runs.clear()
    claims = []

    def is_claim_in_force(write):
        if not (to_record(unanswered.id)(write) and to_state("RUNNING")(write)):
            return False
        claims.append(write)
        return holds(write.when, pipeline.record(write.id))

    pipeline.store.fail("apply", NO_ANSWER, times=9, after=True, where=is_claim_in_force)
    pipeline.poll()

    assert work.names == ["b", "c", "unanswered"]
    assert [job.status() for job in (unanswered, *others)] == [State.SUCCEEDED] * 3
    assert [job.record().attempt for job in (unanswered, *others)] == [attempts, 1, 1]
    assert len(claims) >= 2
    assert len({write.set["lease"] for write in claims}) == 1
    assert pipeline.waiting() == pipeline.dead() == []


@pytest.mark.parametrize("answered", [True, False])
def test_a_job_that_killed_a_worker_runs_after_the_claims_without_answer(deploy, answered):
    """Whether its own claim is answered or not."""
    work = ScriptedTask(batch_size=10, retry=Retry(max_attempts=2), timeout="1m", soft_timeout="10s")
    pipeline = deploy(work)
    work.on_every_run(pipeline.kill, of="killer")
    killer = work.delay("killer")
    pipeline.poll()
    pipeline.clock.advance(360)
    others = [work.delay("a"), work.delay("b")]

    for job in others if answered else (*others, killer):
        pipeline.store.fail("apply", NO_ANSWER, where=to_record(job.id))
    pipeline.poll()

    assert work.names == ["killer", "a", "b", "killer"]
    assert [(job.status(), job.record().attempt) for job in others] == [(State.SUCCEEDED, 1)] * 2


def test_a_claim_without_answer_is_released_when_no_time_is_left_to_run(deploy):
    work = ScriptedTask(batch_size=2, retry=Retry(max_attempts=1), timeout="1m", soft_timeout="30s")
    pipeline = deploy(work)
    work.on_run(1, lambda: pipeline.clock.advance(45), of="slow")
    unanswered, _slow = work.delay("unanswered"), work.delay("slow")

    pipeline.store.fail("apply", NO_ANSWER, after=True, where=to_record(unanswered.id))
    pipeline.poll()

    assert work.names == ["slow"]
    assert unanswered.record().attempt == 0
    assert [message.visible_at for message in pipeline.waiting()] == [pipeline.clock.now()]

    pipeline.run_until_idle()

    assert work.names == ["slow", "unanswered"]
    record = unanswered.record()
    assert (record.state, record.attempt) == (State.SUCCEEDED, 1)
    assert [entry.get("note") for entry in record.history if entry["state"] == "RUNNING"] == [
        None, "the claim before was released"
    ]  # fmt: skip


def test_a_claim_without_answer_is_released_when_repeating_it_did_not_help(deploy):
    work = ScriptedTask(retry=Retry(max_attempts=1))
    pipeline = deploy(work)
    job = work.delay("a")
    pipeline.store.fail("apply", NO_ANSWER, after=True, where=to_state("RUNNING"))

    with outage(pipeline.store, where=to_state("RUNNING")):
        pipeline.poll()
    assert (work.runs, job.record().attempt) == ([], 0)
    pipeline.run_until_idle()

    assert work.attempts == [1]
    assert job.status() is State.SUCCEEDED


def test_a_claim_is_repeated_only_while_its_job_could_still_run(deploy):
    work = ScriptedTask(retry=Retry(max_attempts=1), timeout="1m", soft_timeout="30s")
    pipeline = deploy(work)
    job = work.delay("a")
    began_at = pipeline.clock.now()
    tried_after = []

    def note_time(_write):
        tried_after.append((pipeline.clock.now() - began_at) / 1000)
        return True

    with outage(pipeline.store, where=note_time):
        pipeline.poll()

    assert len(tried_after) > 8
    assert 24 < tried_after[-1] <= 30
    assert (work.runs, job.record().attempt) == ([], 0)
    assert len(pipeline.waiting()) == 1


def test_a_claim_that_can_be_neither_confirmed_nor_released_is_charged(deploy):
    """The one case in which an attempt is charged that never ran: no request got through any more."""
    work = ScriptedTask(retry=Retry(max_attempts=2))
    pipeline = deploy(work)
    job = work.delay("a")
    pipeline.store.fail("apply", NO_ANSWER, after=True)

    with outage(pipeline.store):
        pipeline.poll()
    assert (work.runs, job.record().attempt) == ([], 1)
    pipeline.run_until_idle()

    assert work.attempts == [2]
    assert job.status() is State.SUCCEEDED


def test_a_claim_whose_answer_was_lost_is_released_when_the_rate_limit_cannot_be_read_after_it(deploy):
    work = ScriptedTask(retry=Retry(max_attempts=1), rate_limit=RateLimit("100/s"))
    pipeline = deploy(work)
    job = work.delay("a")

    pipeline.store.fail("apply", Unavailable("lost"), after=True, where=lambda write: "started_at" in write.set)
    pipeline.store.fail("get", Unavailable("throttled"), skip=1)
    pipeline.run_until_idle()

    assert (job.status(), work.runs) == (State.SUCCEEDED, [("a", 1)])


def test_a_claim_whose_answer_was_lost_is_released_when_the_payload_cannot_be_read_after_it(deploy):
    work = ScriptedTask(retry=Retry(max_attempts=1))
    pipeline = deploy(work)
    job = work.delay("a" * 300_000)

    pipeline.store.fail("apply", Unavailable("lost"), after=True, where=lambda write: "started_at" in write.set)
    pipeline.blobs.fail("get", Unavailable("throttled"), skip=1)
    pipeline.run_until_idle()

    assert (job.status(), work.attempts) == (State.SUCCEEDED, [1])
