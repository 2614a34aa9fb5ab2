"""In its last receives a message is replaced before its run: a worker that dies returns no message.

Then every attempt of the job gets its run, and neither the job nor its neighbours are dead-lettered unexplained.
"""

from __future__ import annotations

import json

import pytest

from offload import Refused, Retry, State, Unavailable
from tests.runtime.interference import leave_receives
from tests.runtime.scripted_task import ScriptedTask, fail


@pytest.mark.parametrize("left", [3, 2, 1])
@pytest.mark.parametrize("bare", [False, True])
def test_a_job_that_kills_its_worker_in_its_last_receives_still_gets_all_its_attempts(deploy, left, bare):
    work = ScriptedTask(retry=Retry(max_attempts=3, base="1s"))
    pipeline = deploy(work)
    work.on_every_run(pipeline.kill)
    job_id = pipeline.send('{"payload": {}}') if bare else work.delay().id

    leave_receives(pipeline, left)
    pipeline.run_until_idle()

    record = pipeline.job(job_id)
    assert work.attempts == [1, 2, 3]
    assert (record.state, record.attempt, record.error["type"]) == (State.FAILED, 3, "WorkerLost")
    assert [letter.job.id for letter in pipeline.dead_letters()] == [job_id]


@pytest.mark.parametrize("left", [3, 2, 1])
def test_neighbours_of_such_jobs_in_their_last_receives_are_not_dead_lettered(deploy, left):
    work = ScriptedTask(batch_size=10, retry=Retry(max_attempts=3, base="1s"))
    pipeline = deploy(work)
    killers = [f"killer {number}" for number in range(3)]
    for name in killers:
        work.on_every_run(pipeline.kill, of=name)
    killing = [work.delay(name) for name in killers]
    others = [work.delay(str(number)) for number in range(3)]

    leave_receives(pipeline, left)
    pipeline.run_until_idle()

    assert [job.record().attempt for job in others] == [1] * 3
    assert [job.status() for job in others] == [State.SUCCEEDED] * 3
    assert {letter.job.id for letter in pipeline.dead_letters()} == {job.id for job in killing}
    assert {(job.status(), job.record().attempt) for job in killing} == {(State.FAILED, 3)}


@pytest.mark.parametrize("batch_size", [1, 10])
def test_a_message_is_replaced_before_its_run_and_the_original_deleted_at_once(deploy, batch_size):
    """Its neighbour kills the worker, so that the batch is never acknowledged; even so no second message is left."""
    work = ScriptedTask(batch_size=batch_size, retry=Retry(max_attempts=1))
    pipeline = deploy(work)
    work.on_every_run(pipeline.kill, of="killer")
    job = work.delay("a")
    (original,) = pipeline.waiting()
    leave_receives(pipeline, 2)
    work.delay("killer")

    pipeline.poll()

    (copy,) = [message for message in pipeline.waiting() if json.loads(message.body)["id"] == job.id]
    assert copy.message_id != original.message_id
    assert copy.receives == 0
    assert json.loads(copy.body)["replaces"] == [original.message_id]

    pipeline.run_until_idle()

    assert work.runs.count(("a", 1)) == 1


@pytest.mark.parametrize("left", [3, 2, 1])
def test_a_job_that_waits_in_its_last_receives_is_replaced_when_it_is_returned(deploy, left):
    work = ScriptedTask(retry=Retry(max_attempts=3, base="10m", jitter=False))
    pipeline = deploy(work)
    work.on_run(1, fail)
    job = work.delay("a")
    pipeline.poll()
    (message,) = pipeline.waiting()
    pipeline.queues.port.make_visible_in(pipeline.queue(), message.message_id, 0)
    leave_receives(pipeline, left)

    pipeline.poll()

    assert len(work.runs) == 1, "it is not due yet"
    assert pipeline.dead() == []

    pipeline.run_until_idle()

    assert work.runs == [("a", 1), ("a", 2)]
    assert job.status() is State.SUCCEEDED


# Not when it would not start


@pytest.mark.parametrize("why", ["failed", "poison", "ended", "its worker died on the last attempt"])
def test_a_message_whose_job_would_not_start_is_not_replaced_in_its_last_receives(deploy, why):
    work = ScriptedTask(retry=Retry(max_attempts=1))
    pipeline = deploy(work)
    if why == "poison":
        pipeline.send("no json")
    else:
        actions = {"failed": fail, "its worker died on the last attempt": pipeline.kill}
        work.on_run(1, actions.get(why, lambda: None))
        work.delay("a")
        body = pipeline.waiting()[0].body
        pipeline.poll()
        pipeline.clock.advance(400)
        if why == "ended":
            pipeline.send(body)

    pipeline.queues.calls.clear()
    leave_receives(pipeline, 1)
    pipeline.run_until_idle()

    assert pipeline.queues.called("send") == []
    assert len(work.runs) == (why != "poison")
    assert len(pipeline.dead()) == (why != "ended")
    assert [job.state for job in pipeline.jobs] == [State.SUCCEEDED if why == "ended" else State.FAILED]


@pytest.mark.parametrize(("failed", "unanswered", "copies"), [(False, 99, 1), (True, 4, 0), (True, 12, 1)])
def test_a_message_whose_record_cannot_be_read_is_replaced(deploy, failed, unanswered, copies):
    """Nobody can tell whether its job has failed, and a healthy message must not be lost."""
    work = ScriptedTask(retry=Retry(max_attempts=1))
    pipeline = deploy(work)
    if failed:
        work.on_every_run(fail)
    work.delay("a")
    if not failed:
        leave_receives(pipeline, 2)

    pipeline.queues.calls.clear()
    pipeline.store.fail("get", Unavailable("throttled"), times=unanswered)
    pipeline.run_until_idle()

    assert work.runs == [("a", 1)]
    assert len(pipeline.queues.called("send")) == copies
    assert len(pipeline.dead()) == failed


def test_a_job_with_receives_left_is_not_looked_up(deploy):
    work = ScriptedTask(retry=Retry(max_attempts=1))
    pipeline = deploy(work)
    work.delay("a")

    leave_receives(pipeline, 3)
    pipeline.run_until_idle()

    assert work.runs == [("a", 1)]
    assert pipeline.store.called("get") == []


# When the copy cannot be made


def test_a_message_that_cannot_be_replaced_before_its_run_runs_as_it_is(deploy):
    work = ScriptedTask()
    pipeline = deploy(work)
    job = work.delay("a")
    leave_receives(pipeline, 1)

    pipeline.queues.fail("send", Refused("no permission"))
    pipeline.run_until_idle()

    assert work.runs == [("a", 1)]
    assert job.status() is State.SUCCEEDED
    assert pipeline.waiting() == pipeline.dead() == []


def test_an_original_that_cannot_be_deleted_at_once_is_deleted_with_its_batch(deploy):
    work = ScriptedTask()
    pipeline = deploy(work)
    work.delay("a")
    leave_receives(pipeline, 1)

    pipeline.queues.fail("delete", Refused("no permission"))
    pipeline.run_until_idle()

    assert work.runs == [("a", 1)]
    assert pipeline.waiting() == pipeline.dead() == []
