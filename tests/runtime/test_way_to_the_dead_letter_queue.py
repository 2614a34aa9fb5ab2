"""The way of a failed job to the dead-letter queue is short, and no healthy job goes it."""

from __future__ import annotations

import itertools
import json

import pytest

from offload import Retry, State, Unavailable
from offload.core.messages.waiting import MAX_RECEIVES
from tests.runtime.interference import leave_receives, outage
from tests.runtime.scripted_task import ScriptedTask, fail, fail_for_good


def receives_of(pipeline, message_id):
    return [
        entry for entry in pipeline.trace if entry.kind == "invoke" and message_id in entry.details[0]
    ]  # fmt: skip


@pytest.mark.parametrize("max_attempts", [1, 10, 100])
def test_a_failed_job_needs_fewer_than_four_further_receives(deploy, max_attempts):
    work = ScriptedTask(retry=Retry(max_attempts=max_attempts))
    pipeline = deploy(work)
    work.on_every_run(fail_for_good)
    work.delay("a")
    (message,) = pipeline.waiting()

    pipeline.queues.calls.clear()
    pipeline.run_until_idle()

    assert len(receives_of(pipeline, message.message_id)) - 1 < 4
    assert len(pipeline.mapping().responses) - 1 < 4
    assert len(pipeline.dead()) == 1
    assert pipeline.queues.called("send") == [], "a failed message is never replaced"


def test_a_failed_job_after_its_last_of_many_attempts_needs_fewer_than_four_further_receives(deploy):
    work = ScriptedTask(retry=Retry(max_attempts=10, base="1h", cap="12h", jitter=False))
    pipeline = deploy(work)
    work.on_every_run(fail)
    job = work.delay("a")
    while job.status() is not State.FAILED:
        pipeline.advance("12h")
    pipeline.run_until_idle()

    runs = [entry for entry in pipeline.trace if entry.kind == "run"]
    after = [entry for entry in pipeline.trace if entry.kind == "invoke" and entry.at >= runs[-1].at]
    assert len(after) - 1 < 4
    assert len(pipeline.dead()) == 1


@pytest.mark.parametrize("body", ["no json", '{"payload": {"nope": 1}}'])
def test_a_message_that_can_never_run_goes_the_same_way_unchanged(deploy, body):
    pipeline = deploy(ScriptedTask())
    pipeline.send(body)
    pipeline.run_until_idle()
    assert len(pipeline.mapping().responses) == MAX_RECEIVES
    assert [message.body for message in pipeline.dead()] == [body]


def test_a_bare_message_that_failed_takes_one_receive_more_for_its_name(deploy):
    work = ScriptedTask(retry=Retry(max_attempts=1))
    pipeline = deploy(work)
    work.on_every_run(fail)
    pipeline.send('{"payload": {}}')
    pipeline.run_until_idle()
    assert len(pipeline.mapping().responses) == 1 + MAX_RECEIVES


@pytest.mark.parametrize("max_attempts", [1, 3])
def test_ten_jobs_that_each_kill_their_worker_fail_for_that_and_dead_letter_nobody_before(deploy, max_attempts):
    """Each death takes the whole batch along, and the last of them has been received many times by then."""
    work = ScriptedTask(batch_size=10, retry=Retry(max_attempts=max_attempts))
    pipeline = deploy(work)
    work.on_every_run(pipeline.kill)
    jobs = [work.delay(str(number)) for number in range(10)]

    for _ in range(1_000):
        if not pipeline.waiting():
            break
        pipeline.advance("7m")
        for letter in pipeline.dead_letters():
            assert letter.job is not None
            assert letter.job.state is State.FAILED

    assert sorted(work.names) == sorted(f"{number}" for number in range(10) for _ in range(max_attempts))
    assert {(job.status(), job.record().attempt) for job in jobs} == {(State.FAILED, max_attempts)}
    assert {letter.job_id for letter in pipeline.dead_letters()} == {job.id for job in jobs}
    assert {letter.job.error["type"] for letter in pipeline.dead_letters()} == {"WorkerLost"}


def test_ten_killers_do_not_take_their_neighbours_along(deploy):
    work = ScriptedTask(batch_size=10, retry=Retry(max_attempts=2))
    pipeline = deploy(work)
    for number in range(10):
        work.on_every_run(pipeline.kill, of=f"killer {number}")
    for number in range(10):
        work.delay(f"killer {number}")
    others = [work.delay(str(number)) for number in range(20)]

    pipeline.run_until_idle()

    assert {(job.status(), job.record().attempt) for job in others} == {(State.SUCCEEDED, 1)}
    assert len(pipeline.dead()) == 10


@pytest.mark.parametrize("silent", [1, 2, 3])
def test_a_message_outlives_workers_that_never_began_with_it(deploy, silent):
    work = ScriptedTask(retry=Retry(max_attempts=1))
    pipeline = deploy(work)
    job = work.delay("a")

    for _ in range(silent):
        pipeline.queues.receive(pipeline.queue(), limit=10, visibility=0)
    pipeline.run_until_idle()

    assert (job.status(), work.attempts, pipeline.dead()) == (State.SUCCEEDED, [1], [])


def test_a_function_that_cannot_start_uses_up_the_receives_and_a_redrive_runs_the_jobs(deploy):
    work = ScriptedTask()
    pipeline = deploy(work)
    job = work.delay("a")

    for _ in range(MAX_RECEIVES + 1):
        pipeline.queues.receive(pipeline.queue(), limit=10, visibility=0)
    assert (len(pipeline.dead()), job.status()) == (1, State.PENDING)
    pipeline.redrive()
    pipeline.run_until_idle()

    assert job.result(0) == "a"


def test_a_deployment_with_fewer_attempts_dead_letters_no_message_that_waits(deploy):
    work = ScriptedTask(retry=Retry(max_attempts=10, base="1h", cap="1h", jitter=False))
    pipeline = deploy(work)
    work.on_every_run(fail)
    job = work.delay("a")
    pipeline.advance("5h")
    assert job.record().attempt >= 5

    fewer = ScriptedTask(retry=Retry(max_attempts=1))
    pipeline.deploy(fewer)
    pipeline.run_until_idle()

    assert (job.status(), len(pipeline.dead())) == (State.SUCCEEDED, 0)
    assert fewer.runs == [("a", job.record().attempt)]


def test_a_healthy_message_outlives_an_outage_of_a_day(deploy):
    work = ScriptedTask(retry=Retry(max_attempts=1))
    pipeline = deploy(work)
    job = work.delay("a")

    with outage(pipeline.store), outage(pipeline.store, "get"):
        pipeline.advance("1d")
    assert pipeline.dead() == []
    pipeline.run_until_idle()

    assert (job.status(), work.attempts) == (State.SUCCEEDED, [1])


def test_messages_are_not_lost_when_copies_are_refused_for_some_hours(deploy):
    work = ScriptedTask(retry=Retry(max_attempts=1))
    pipeline = deploy(work)
    job = work.delay("a")

    with outage(pipeline.store), outage(pipeline.queues, "send", Unavailable("down")):
        pipeline.advance("10h")
    assert pipeline.dead() == []
    pipeline.run_until_idle()

    assert (job.status(), work.attempts) == (State.SUCCEEDED, [1])


# A worker that stood still


def test_a_worker_that_goes_on_after_its_invocation_returns_no_message(deploy):
    """Others have received its messages by then; copies of these would be messages too many."""
    work = ScriptedTask(batch_size=10, retry=Retry(max_attempts=2, base="5m", jitter=False))
    pipeline = deploy(work)
    work.on_run(1, fail, of="a")
    work.on_run(1, lambda: pipeline.clock.advance(3_000), of="b")
    for name in "abc":
        work.delay(name)
    leave_receives(pipeline, 3)

    pipeline.queues.calls.clear()
    pipeline.poll(kill_at_timeout=False)

    assert len(pipeline.queues.called("send")) == 1, "the copy of the job that failed in time"
    pipeline.run_until_idle()
    assert sorted(work.names) == [*"aabc"]
    assert pipeline.dead() == pipeline.waiting() == []


def test_copies_are_told_apart_by_when_they_were_made(deploy):
    work = ScriptedTask(retry=Retry(max_attempts=6, base="5m", cap="5m", jitter=False))
    pipeline = deploy(work)
    work.on_every_run(fail)
    work.delay("a")
    while not pipeline.dead():
        pipeline.advance("5m")

    (dead,) = pipeline.dead()
    body = json.loads(dead.body)
    assert len(body["replaces"]) == len(body["copied_at"]) >= 2
    assert all(before < after for before, after in itertools.pairwise(body["copied_at"]))
