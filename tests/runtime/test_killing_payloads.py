"""A payload can kill its worker before its job is claimed: by its size, or in a validator of the task.

Its job ends FAILED all the same, after its attempts and no later, and no neighbour pays for it.
"""

from __future__ import annotations

import json
from typing import Annotated

import pytest
from pydantic import AfterValidator

from offload import RateLimit, Retry, State, Unavailable, task
from offload.runtime import payloads
from offload.testing.processes import current_process
from tests.runtime.interference import leave_receives, outage
from tests.runtime.scripted_task import ScriptedTask

LARGE = "x" * 300_000
"""A name that goes to the bucket with its payload."""

HOSTILE: dict[str, int] = {}
"""Validations of each hostile name so far, in workers."""


def die_of(name: str) -> str:
    """Kill the worker whose task validates a name that begins with `killer`, and fail it for a while for `unlucky`."""
    process = current_process.get()
    if process is not None and not name.startswith("ok"):
        HOSTILE[name] = HOSTILE.get(name, 0) + 1
        if name.startswith("killer"):
            process.kill()
        raise ConnectionError(name)
    return name


@task(batch_size=10, retry=Retry(max_attempts=2))
def work(name: Annotated[str, AfterValidator(die_of)]) -> str:
    return name


@pytest.fixture(autouse=True)
def _forget():
    HOSTILE.clear()


def bare(name):
    return json.dumps({"payload": {"name": name}})


def in_order(where, names, killers):
    return [*killers, *names] if where == "first" else [*names, *killers]


# In a validator


@pytest.mark.parametrize("where", ["first", "last"])
@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize("is_bare", [False, True])
def test_killers_in_a_validator_fail_alone_and_their_neighbours_run_once(deploy, where, count, is_bare):
    pipeline = deploy(work)
    names, killers = [f"ok{number}" for number in range(9)], [f"killer{number}" for number in range(count)]
    ids = {
        name: pipeline.send(bare(name)) if is_bare else work.delay(name).id for name in in_order(where, names, killers)
    }

    pipeline.advance("2d")

    assert {(pipeline.job(ids[name]).state, pipeline.job(ids[name]).attempt) for name in names} == {
        (State.SUCCEEDED, 1)
    }
    assert len(pipeline.runs) == len(names)
    for name in killers:
        job = pipeline.job(ids[name])
        assert (job.state, job.attempt, job.error["type"]) == (State.FAILED, 2, "WorkerLost")
        assert HOSTILE[name] <= 2 + 2, "two before the claim, and one an attempt"
    assert {letter.job_id for letter in pipeline.dead_letters()} == {ids[name] for name in killers}


def test_no_validator_runs_while_messages_are_replaced(deploy):
    """The message that kills is the first of its batch, and all others are in their last receives too."""
    pipeline = deploy(work)
    work.delay("killer")
    for number in range(9):
        work.delay(f"ok{number}")
    leave_receives(pipeline, 2)

    pipeline.poll()

    assert HOSTILE == {}
    assert all(json.loads(message.body)["unreturned"] is True for message in pipeline.waiting())
    assert {message.receives for message in pipeline.waiting()} == {0}


def test_a_payload_whose_validator_never_gets_its_answer_costs_its_attempts_too(deploy):
    pipeline = deploy(work)
    job, other = work.delay("unlucky"), work.delay("ok")

    with pytest.raises(AssertionError, match="the worker itself failed"):
        pipeline.advance("2d")

    assert other.status() is State.SUCCEEDED
    assert (job.status(), job.record().attempt) == (State.FAILED, 2)
    assert HOSTILE["unlucky"] == 2 + 2


def test_a_killing_payload_that_is_redriven_has_fresh_attempts_and_fails_again(deploy):
    pipeline = deploy(work)
    job = work.delay("killer")
    pipeline.advance("1d")
    pipeline.redrive()
    pipeline.advance("1d")

    record = job.record()
    assert (record.state, record.attempt, record.redrives) == (State.FAILED, 2, 1)
    assert len(pipeline.dead()) == 1


def test_a_payload_that_kills_in_the_line_of_a_rate_limit_costs_its_attempts_too(deploy):
    @task(rate_limit=RateLimit("1/h"), retry=Retry(max_attempts=2))
    def limited(name: Annotated[str, AfterValidator(die_of)]) -> str:
        return name

    pipeline = deploy(limited)
    others = [limited.delay(f"ok{number}") for number in range(3)]
    job = limited.delay("killer")

    pipeline.advance("3d")

    assert {other.status() for other in others} == {State.SUCCEEDED}
    assert (job.status(), job.record().attempt, HOSTILE["killer"]) == (State.FAILED, 2, 4)


# By its size


class DeadlyJson:
    """`json` for `payloads`: a large text needs more memory than the function has."""

    def __init__(self, pipeline):
        self.pipeline, self.deaths = pipeline, 0

    def loads(self, raw):
        self.deaths += 1
        return self.pipeline.kill()


def test_a_payload_in_the_bucket_that_kills_fails_alone_and_its_neighbours_run_once(deploy, monkeypatch):
    pipeline = deploy(ScriptedTask(batch_size=10, retry=Retry(max_attempts=2)))
    deadly = DeadlyJson(pipeline)
    monkeypatch.setattr(payloads, "json", deadly)
    job = pipeline.task.delay(LARGE)
    others = [pipeline.task.delay(str(number)) for number in range(9)]

    pipeline.advance("1d")

    record = job.record()
    assert (record.state, record.attempt, record.error["type"]) == (State.FAILED, 2, "WorkerLost")
    assert deadly.deaths == 2 + 2
    assert {(other.status(), other.record().attempt) for other in others} == {(State.SUCCEEDED, 1)}
    assert sorted(pipeline.task.runs) == [(str(number), 1) for number in range(9)]
    assert [letter.job_id for letter in pipeline.dead_letters()] == [job.id]


# A message that was never returned, and whose payload kills nobody


def never_returned(pipeline):
    """Let workers die on what waits, until copies replace it."""
    leave_receives(pipeline, 2)
    pipeline.poll()
    assert all(json.loads(message.body)["unreturned"] is True for message in pipeline.waiting())


def test_an_outage_of_the_bucket_charges_nothing_to_a_message_that_was_never_returned(deploy, service_error):
    work = ScriptedTask(retry=Retry(max_attempts=1))
    pipeline = deploy(work)
    job = work.delay(LARGE)
    never_returned(pipeline)

    with outage(pipeline.blobs, "get", service_error):
        pipeline.advance("1d")
    assert (job.record().attempt, work.runs, pipeline.dead()) == (0, [], [])
    pipeline.run_until_idle()

    assert (job.status(), work.attempts) == (State.SUCCEEDED, [1])


def test_a_release_that_is_not_answered_at_once_is_made_again(deploy):
    work = ScriptedTask(retry=Retry(max_attempts=1))
    pipeline = deploy(work)
    job = work.delay(LARGE)
    never_returned(pipeline)

    pipeline.blobs.fail("get", Unavailable("throttled"))
    pipeline.store.fail("apply", Unavailable("throttled"), times=3, where=lambda write: write.add == {"attempt": -1})
    pipeline.run_until_idle()

    assert (job.status(), work.attempts) == (State.SUCCEEDED, [1])


def test_a_payload_that_does_not_fit_charges_nothing_either(deploy):
    pipeline = deploy(work)
    job_id = pipeline.send('{"payload": {"nope": 1}}')
    never_returned(pipeline)

    pipeline.run_until_idle()

    job = pipeline.job(job_id)
    assert (job.state, job.attempt, job.error["type"]) == (State.FAILED, 0, "PayloadError")
    assert [letter.job_id for letter in pipeline.dead_letters()] == [job_id]


def test_a_message_that_was_never_returned_takes_no_write_more(deploy):
    work = ScriptedTask()
    pipeline = deploy(work)
    job = work.delay("a")
    never_returned(pipeline)

    pipeline.store.calls.clear()
    pipeline.run_until_idle()

    assert (job.status(), len(pipeline.store.called("apply"))) == (State.SUCCEEDED, 2)
