"""Bodies of any kind: none is dropped; each ends with its reason recorded and unchanged in the dead-letter queue."""

from __future__ import annotations

import json

import pytest

from offload import Retry, State, task

POISON = {
    "nothing": (" ", "MessageError", "not JSON"),
    "text": ("no json at all", "MessageError", "not JSON"),
    "cut off": ('{"payload": {', "MessageError", "not JSON"),
    "deep": ("[" * 100_000, "MessageError", "not JSON"),
    "deep object": ('{"payload": {"x": ' + "[" * 50_000 + "]" * 50_000 + "}}", "MessageError", "not JSON"),
    "huge number": ('{"payload": {"x": ' + "9" * 10_000 + "}}", "MessageError", "not JSON"),
    "array": ("[1, 2]", "MessageError", "not an array"),
    "number": ("5", "MessageError", "not a number"),
    "null": ("null", "MessageError", "not null"),
    "no payload": ("{}", "MessageError", "payload is missing"),
    "payload null": ('{"payload": null}', "MessageError", "payload is missing"),
    "payload text": ('{"payload": "x"}', "MessageError", "payload must be an object"),
    "another version": ('{"version": 2, "payload": {}}', "MessageError", "version 2 is not known"),
    "bad id": ('{"id": "a b", "payload": {"x": 1}}', "MessageError", "is not a job id"),
    "id no text": ('{"id": 7, "payload": {"x": 1}}', "MessageError", "is not a job id"),
    "bad tenant": ('{"tenant": 7, "payload": {"x": 1}}', "MessageError", "tenant must be"),
    "bad time": ('{"expires_at": "soon", "payload": {"x": 1}}', "MessageError", "expires_at must be"),
    "NaN time": ('{"expires_at": NaN, "payload": {"x": 1}}', "MessageError", "expires_at must be"),
    "hops": ('{"hops": -1, "payload": {"x": 1}}', "MessageError", "hops must be"),
    "too many hops": ('{"hops": 51, "payload": {"x": 1}}', "MessageError", "more than 50 deep"),
    "ref": ('{"payload_ref": {"bucket": "b"}}', "MessageError", "payload_ref must be"),
    "another task": ('{"task": "another", "payload": {"x": 1}}', "UnknownTask", "is for task 'another'"),
    "field missing": ('{"payload": {}}', "PayloadError", "x: Field required"),
    "field wrong": ('{"payload": {"x": "secret"}}', "PayloadError", "x: Input should be a valid integer"),
    "field too many": ('{"payload": {"x": 1, "y": 2}}', "PayloadError", "y: Extra inputs"),
    "lone surrogate": ('{"payload": {"x": "\\ud800"}}', "PayloadError", ""),
}


@task(retry=Retry(max_attempts=2))
def double(x: int) -> int:
    return 2 * x


@pytest.mark.parametrize("name", POISON)
def test_a_poison_body_fails_with_its_reason_and_is_kept_unchanged(stage, name):
    body, kind, reason = POISON[name]
    world = stage(double)
    message_id = world.send(body)
    world.settle()
    (item,) = world.store.items()
    record = world.job(item["id"])
    assert record.id == message_id
    assert (record.state, record.attempt, record.task) == (State.FAILED, 0, "double")
    assert record.error["type"] == kind
    assert reason in record.error["message"]
    assert "secret" not in json.dumps(item)
    assert [(message.body, message.message_id) for message in world.dead()] == [(body, message_id)]
    assert world.waiting() == []
    assert [job.id for job in _failed(world)] == [message_id]


def _failed(world):
    from offload.operate.listing import list_jobs

    return list_jobs(world.client, state=State.FAILED)


def test_a_poison_body_does_not_hold_up_its_batch(stage):
    world = stage(double)
    for body, _, _ in POISON.values():
        world.send(body)
        world.send('{"payload": {"x": 1}}')
    world.settle()
    assert len(world.dead()) == len(POISON)
    states = [item["state"] for item in world.store.items()]
    assert states.count("SUCCEEDED") == len(POISON)


@pytest.mark.parametrize(
    "extra",
    [
        {"version": 1},
        {"unknown": {"deep": [1]}, "another": None},
        {"task": "double"},
        {"id": None, "task": None, "tenant": None, "expires_at": None, "parent": None, "hops": 0},
        {"enqueued_at": "2025-12-31T23:00:00Z"},
        {"renewed": "nonsense"},
    ],
)
def test_what_the_contract_allows_runs(stage, extra):
    world = stage(double)
    job_id = world.send(json.dumps({"payload": {"x": 4}, **extra}))
    world.settle()
    assert world.job(job_id).result == "8"


def test_a_broken_body_cannot_end_the_job_whose_id_it_names(stage):
    world = stage(double)
    job = double.delay(1)
    world.drain()
    world.send(json.dumps({"id": job.id, "payload": 5}))
    world.settle()
    assert job.result(0) == 2
    assert len(world.dead()) == 1


def test_a_readable_copy_that_does_not_fit_is_dropped_once_its_job_has_ended_well(stage):
    world = stage(double)
    job = double.delay(1)
    world.drain()
    world.send(json.dumps({"id": job.id, "payload": {}}))
    world.settle()
    assert job.result(0) == 2
    assert world.dead() == []


def test_a_job_whose_payload_fits_no_more_between_attempts_fails(stage):
    failing = []

    @task(retry=Retry(max_attempts=3, base="1m", jitter=False))
    def evolving(x: int) -> int:
        failing.append(1)
        raise ValueError("boom")

    world = stage(evolving)
    job = evolving.delay(1)
    world.drain()

    def stricter(x: int, y: int) -> int: ...

    evolving.signature = type(evolving.signature)("evolving", stricter)  # a deploy
    world.settle()
    record = job.record()
    assert (record.state, record.error["type"], record.attempt) == (State.FAILED, "PayloadError", 1)
    assert len(world.dead()) == 1


def test_a_rejected_message_runs_after_a_fix_and_a_redrive(stage):
    world = stage(double)
    body = '{"id": "job-1", "payload": {"y": 1}}'
    world.send(body)
    world.settle()

    def fixed(y: int) -> int: ...

    before, function = double.signature, double.function
    try:
        double.signature, double.function = type(before)("double", fixed), lambda y: y
        world.clock.advance(60)
        world.redrive()
        world.settle()
    finally:
        double.signature, double.function = before, function
    assert world.job("job-1").state is State.SUCCEEDED
    assert world.job("job-1").redrives == 1
