"""Bodies of any kind: none is dropped; each ends with its reason recorded and unchanged in the dead-letter queue."""

from __future__ import annotations

import json
import random
from collections import Counter
from datetime import datetime
from types import SimpleNamespace
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from offload import Retry, State, task
from offload.client.message_records import record_of
from offload.core.messages.message import job_id_of
from offload.operate.listing import list_jobs
from offload.testing import Pipeline
from tests.runtime.scripted_task import ScriptedTask

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
    "infinite time": ('{"expires_at": Infinity, "payload": {"x": 1}}', "MessageError", "expires_at must be"),
    "surrogate": ('{"tenant": "\\ud800", "payload": {"x": 1}}', "MessageError", "tenant is not valid Unicode"),
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
def test_a_poison_body_fails_with_its_reason_and_is_kept_unchanged(deploy, name):
    body, kind, reason = POISON[name]
    pipeline = deploy(double)

    message_id = pipeline.send(body)
    pipeline.run_until_idle()

    (record,) = pipeline.store.items()
    job = pipeline.job(record["id"])
    assert job.id == message_id
    assert (job.state, job.attempt, job.task) == (State.FAILED, 0, "double")
    assert job.error["type"] == kind
    assert reason in job.error["message"]
    assert "secret" not in json.dumps(record)
    assert [(message.body, message.message_id) for message in pipeline.dead()] == [(body, message_id)]
    assert pipeline.waiting() == []
    assert [failed.id for failed in list_jobs(pipeline.client, state=State.FAILED)] == [message_id]


def test_poison_bodies_do_not_hold_up_their_batches(deploy):
    pipeline = deploy(double)

    for body, _, _ in POISON.values():
        pipeline.send(body)
        pipeline.send('{"payload": {"x": 1}}')
    pipeline.run_until_idle()

    assert len(pipeline.dead()) == len(POISON)
    assert [job.state for job in pipeline.jobs].count(State.SUCCEEDED) == len(POISON)


@pytest.mark.parametrize(
    "extra",
    [
        {"version": 1},
        {"unknown": {"deep": [1]}, "another": None},
        {"task": "double"},
        {"id": None, "task": None, "tenant": None, "expires_at": None, "parent": None, "hops": 0},
        {"enqueued_at": "2025-12-31T23:00:00Z"},
        {"replaces": "nonsense"},
    ],
)
def test_what_the_contract_allows_runs(deploy, extra):
    pipeline = deploy(double)

    job_id = pipeline.send(json.dumps({"payload": {"x": 4}, **extra}))
    pipeline.run_until_idle()

    assert pipeline.job(job_id).result == "8"


def test_a_broken_body_cannot_end_the_job_whose_id_it_names(deploy):
    pipeline = deploy(double)
    job = double.delay(1)
    pipeline.drain()

    pipeline.send(json.dumps({"id": job.id, "payload": 5}))
    pipeline.run_until_idle()

    assert job.result(0) == 2
    assert len(pipeline.dead()) == 1


def test_a_readable_copy_that_does_not_fit_is_dropped_once_its_job_has_ended_well(deploy):
    pipeline = deploy(double)
    job = double.delay(1)
    pipeline.drain()

    pipeline.send(json.dumps({"id": job.id, "payload": {}}))
    pipeline.run_until_idle()

    assert job.result(0) == 2
    assert pipeline.dead() == []


def test_a_readable_copy_that_does_not_fit_waits_for_the_lease_while_its_job_runs(deploy):
    work = ScriptedTask()
    pipeline = deploy(work)
    job = work.delay("a")

    def deliver_a_copy_that_does_not_fit():
        pipeline.send(json.dumps({"id": job.id, "payload": {"nope": 1}}))
        pipeline.poll()
        (copy,) = [message for message in pipeline.waiting() if "nope" in message.body]
        # When the worker dies, the copy may be what is left to end the job.
        assert copy.visible_at >= pipeline.record(job.id)["lease_until"]

    work.on_run(1, deliver_a_copy_that_does_not_fit)
    pipeline.run_until_idle()

    assert work.attempts == [1], "what is asserted inside the run holds"
    assert job.result(0) == "a"
    assert pipeline.dead() == []


def deploy_anew(pipeline, function, name):
    """Deploy a function in place of the task of that name, with another signature."""
    function.__name__ = name
    pipeline.deploy(task(function))


def test_a_job_whose_payload_does_not_fit_any_more_between_attempts_fails(deploy):
    @task(retry=Retry(max_attempts=3, base="1m", jitter=False))
    def evolving(x: int) -> int:
        raise ValueError("boom")

    def stricter(x: int, y: int) -> int: ...

    pipeline = deploy(evolving)
    job = evolving.delay(1)
    pipeline.drain()

    deploy_anew(pipeline, stricter, "evolving")
    pipeline.run_until_idle()

    record = job.record()
    assert (record.state, record.error["type"], record.attempt) == (State.FAILED, "PayloadError", 1)
    assert len(pipeline.dead()) == 1


def test_a_rejected_message_runs_after_a_fix_and_a_redrive(deploy):
    def fixed(y: int) -> int:
        return y

    pipeline = deploy(double)
    pipeline.send('{"id": "job-1", "payload": {"y": 1}}')
    pipeline.run_until_idle()

    deploy_anew(pipeline, fixed, "double")
    pipeline.clock.advance(60)
    pipeline.redrive()
    pipeline.run_until_idle()

    assert pipeline.job("job-1").state is State.SUCCEEDED
    assert pipeline.job("job-1").redrives == 1


# Any body at all


class Line(BaseModel):
    sku: str
    count: int = 1


@task(retry=Retry(max_attempts=1), batch_size=10)
def order(number: int, at: datetime | None = None, lines: list[Line] | None = None, ref: UUID | None = None) -> int:
    if number < 0:
        raise ValueError("a negative order")
    return number


TEXT = st.text(st.characters(), max_size=12)  # lone surrogates, too: JSON can escape them
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXT
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3))
NUMBERS = st.integers(-50, 1_000)
MOMENTS = st.datetimes().map(datetime.isoformat)
PAYLOAD = {
    "at": MOMENTS,
    "lines": st.lists(st.fixed_dictionaries({"sku": TEXT}, optional={"count": NUMBERS}), max_size=2),
    "ref": st.uuids().map(str),
}
PAYLOADS = st.fixed_dictionaries({"number": NUMBERS}, optional=PAYLOAD)
FIELDS = {
    "id": st.uuids().map(str),
    "task": st.sampled_from(["order", "order", "order", "refund"]),
    "version": st.just(1),
    "key": TEXT,
    "tenant": TEXT,
    "lane": st.just("default"),
    "expires_at": st.integers(1_700_000_000_000, 1_900_000_000_000) | MOMENTS,
    "enqueued_at": MOMENTS,
    "parent": st.uuids().map(str),
    "hops": st.integers(0, 52),
    "workflow": TEXT,
    "payload_ref": st.fixed_dictionaries({"bucket": TEXT, "key": TEXT}),
    "replaces": st.lists(st.uuids().map(str), max_size=2),
    "note": JSON,
}
VALID = st.fixed_dictionaries({"payload": PAYLOADS}, optional=FIELDS)


ODD = [float("inf"), float("nan"), -1, 10**30, 10**400, True, "", "\ud800", "\x00", "9999-12-31T23:59:59-14:00", [], {}]


@st.composite
def twenty_bodies(draw):
    """Draw one valid message and some values, and make of them messages that are almost valid, or nothing like it."""
    valid, values, text = draw(VALID), draw(st.lists(JSON, min_size=4, max_size=4)), draw(st.text(min_size=1))
    rng = random.Random(draw(st.integers(0, 2**32)))

    def changed(data, names):
        return {**data, **{name: rng.choice([*values, *ODD]) for name in rng.sample(names, rng.randint(1, 2))}}

    def without(data):
        return {name: value for name, value in data.items() if name != rng.choice(list(data))}

    def cut(body):
        start = rng.randrange(len(body))
        return body[:start] + rng.choice(["", "", *'{}[]",:0x\\ ']) + body[start + rng.randint(0, 3) :]

    def renamed(data):
        return {**data, "id": str(UUID(int=rng.getrandbits(128)))} if "id" in data else data

    payload = valid["payload"]
    messages = [
        *([valid] * 3),
        *(changed(valid, ["payload", *FIELDS]) for _ in range(4)),
        *({**valid, "payload": changed(payload, ["number", *PAYLOAD])} for _ in range(4)),
        {**valid, "payload": without(payload)},
        without(valid),
        {"payload": payload, "expires_at": 1_700_000_000_000 + rng.randrange(100_000_000_000)},
    ]
    bodies = [text, json.dumps(values), json.dumps(values[0])]
    bodies += [json.dumps(renamed(message)) for message in messages]
    bodies += [cut(json.dumps(renamed(valid))) for _ in range(3)]
    return list({job_id_of(body) or number: body for number, body in enumerate(bodies)}.values())


def recorded_as(pipeline, message_id, body):
    """Return the id of the record that tells of a message."""
    job_id, _ = record_of(pipeline.record, SimpleNamespace(message_id=message_id, body=body, sent_at=0), "order")
    return job_id


def test_of_any_bodies_none_is_lost():
    ends: Counter[str] = Counter()

    @settings(max_examples=270, suppress_health_check=list(HealthCheck))
    @given(twenty_bodies())
    def send_and_look(bodies):
        with Pipeline(order) as pipeline:
            pipeline.expect_dead_letters()
            sent = {pipeline.send(body): body for body in bodies}
            pipeline.run_until_idle()
            assert pipeline.waiting() == []
            dead = {message.message_id: message.body for message in pipeline.dead()}
            named = {recorded_as(pipeline, message_id, body) for message_id, body in dead.items()}
            assert len(named) == len(dead)
            assert len(pipeline.jobs) == len(sent)
            for message_id, body in sent.items():
                job = pipeline.job(recorded_as(pipeline, message_id, body))
                failed = job.state is State.FAILED
                assert failed or job.state in (State.SUCCEEDED, State.EXPIRED), body
                assert (job.id in named) is failed, body
                assert bool(job.error and job.error["message"]) is failed, body
                if failed and job.attempt == 0:
                    assert dead[message_id] == body
                ends[job.error["type"] if failed else job.state.value] += 1

    send_and_look()
    assert ends.total() >= 5_000
    # All of it was reached, not one kind of end thousands of times. How often moves with the constants that the draws
    # are made from, which are those of the whole library.
    assert set(ends) == {"SUCCEEDED", "EXPIRED", "MessageError", "PayloadError", "ValueError", "UnknownTask"}
    assert min(ends.values()) >= 5, ends
