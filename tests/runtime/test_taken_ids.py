"""A message that names a job id of another task: that job stays as it is, and the message fails with its reason."""

from __future__ import annotations

import json
from typing import Any

import pytest

from offload import RateLimit, Retry, State, Unavailable, current_job, task
from offload.operate.redrive import redrive
from tests.runtime.interference import just_before

ran: list[str] = []


@task(retry=Retry(max_attempts=3), on_success="hear", on_failure="hear")
def invoice(number: int) -> str:
    ran.append(f"invoice {number}")
    return f"invoice {number}"


@task(retry=Retry(max_attempts=3), rate_limit=RateLimit("1/s"), on_failure="hear")
def parcel(number: int) -> str:
    ran.append(f"parcel {number}")
    return f"parcel {number}"


@task
def hear(job: dict[str, Any]) -> None:
    ran.append(f"heard of {job['id']} {job['state']}")


@pytest.fixture
def pipeline(deploy):
    ran.clear()
    return deploy(invoice, parcel, hear)


def ended(pipeline, state):
    """Return an invoice that stands in a state, and the message by which it came there."""
    job = invoice.options(id="order-42").delay(1)
    if state is not State.PENDING:
        pipeline.drain()
        more = {
            State.SCHEDULED: {"next_at": pipeline.clock.now() + 10**9},
            State.RUNNING: {"lease": "alive", "lease_until": pipeline.clock.now() + 10**9},
            State.RETRYING: {"next_at": pipeline.clock.now() - 1},
            State.FAILED: {"error": {"type": "E", "message": "m", "traceback": "", "attempt": 1}},
        }.get(state, {})
        pipeline.store.port.change(job.id, state=state.value, **more)
    else:
        pipeline.queues.purge(pipeline.queue("invoice"))
    ran.clear()
    return pipeline.record(job.id)


FORGED = {
    "a message that would run": {"payload": {"number": 2}},
    "a payload that does not fit": {"payload": {"wrong": 2}},
    "a body that breaks the contract": {"payload": 5},
    "a message that has expired": {"payload": {"number": 2}, "expires_at": 1},
    "what only workers write": {
        "payload": {"number": 2}, "parent": "order-42", "lane": "default", "enqueued_at": 1, "hops": 3, "key": "k",
    },
}  # fmt: skip


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("forged", FORGED.values(), ids=list(FORGED))
def test_another_tasks_job_stays_as_it_is_and_the_message_becomes_a_dead_letter(pipeline, state, forged):
    theirs = ended(pipeline, state)
    body = json.dumps({**forged, "id": "order-42", "replaces": [theirs.get("message_id", "m")]})

    pipeline.send(body, "parcel")
    pipeline.run_until_idle()

    assert pipeline.record("order-42") == theirs
    (letter,) = pipeline.dead_letters()
    assert (letter.task, letter.body, letter.job_id) == ("parcel", body, "order-42@parcel")
    assert (letter.job.state, letter.job.task, letter.job.attempt) == (State.FAILED, "parcel", 0)
    if forged["payload"] == 5:
        assert letter.reason.startswith("MessageError: payload must be an object")
    else:
        assert letter.reason == "IdTaken: job id 'order-42' belongs to task 'invoice': choose another id"
    # The follow-up of the message's own failure, once; nothing of the other task's end is enqueued anew.
    assert ran == ["heard of order-42@parcel FAILED"]
    assert pipeline.waiting() == []


def test_what_is_taken_is_seen_between_the_first_look_and_the_claim(pipeline):
    def take_it():
        invoice.options(id="order-42").delay(1)

    just_before(pipeline.store, "apply", take_it, where=lambda write: write.set.get("state") == "RUNNING")
    pipeline.send('{"id": "order-42", "payload": {"number": 2}}', "parcel")
    pipeline.run_until_idle()

    assert pipeline.job("order-42").result == '"invoice 1"'
    assert pipeline.job("order-42@parcel").error["type"] == "IdTaken"
    assert "parcel 2" not in ran


def test_whoever_is_first_has_the_id_whatever_the_order(pipeline):
    pipeline.send('{"id": "a", "payload": {"number": 2}}', "parcel")
    pipeline.send('{"id": "a", "payload": {"number": 1}}', "invoice")
    pipeline.run_until_idle()

    owner = pipeline.job("a").task
    other = {"invoice": "parcel", "parcel": "invoice"}[owner]
    assert pipeline.job(f"a@{other}").state is State.FAILED
    assert [letter.task for letter in pipeline.dead_letters()] == [other]


def test_a_message_for_another_task_does_not_take_its_id(pipeline):
    pipeline.send('{"id": "order-42", "task": "invoice", "payload": {"number": 1}}', "parcel")
    pipeline.run_until_idle()
    (letter,) = pipeline.dead_letters()
    assert (letter.job_id, letter.job.error["type"]) == ("order-42@parcel", "UnknownTask")

    job = invoice.options(id="order-42").delay(1)
    pipeline.run_until_idle()

    assert job.created
    assert job.result(0) == "invoice 1"


@pytest.mark.parametrize("door", ["console", "ours", "ours, by id"])
def test_a_redriven_message_fails_again_as_the_same_record(pipeline, door):
    ended(pipeline, State.SUCCEEDED)
    body = '{"id": "order-42", "payload": {"number": 2}}'
    pipeline.send(body, "parcel")
    pipeline.run_until_idle()
    before = len(pipeline.jobs)
    pipeline.clock.advance(60)

    if door == "console":
        assert pipeline.redrive("parcel") == 1
    else:
        from offload.operate.redrive import Selection

        done = redrive(pipeline.client, "parcel", Selection(ids=("order-42@parcel",)) if "id" in door else None)
        assert done.handed_over or done.moved[0][0] == "order-42@parcel"
    pipeline.run_until_idle()

    assert [letter.body for letter in pipeline.dead_letters()] == [body]
    assert len(pipeline.jobs) == before
    assert [entry["state"] for entry in pipeline.job("order-42@parcel").history] == ["PENDING", "FAILED", "FAILED"]


def test_a_message_whose_id_became_free_runs_when_it_is_redriven(pipeline):
    ended(pipeline, State.SUCCEEDED)
    pipeline.send('{"id": "order-42", "payload": {"number": 2}}', "parcel")
    pipeline.run_until_idle()

    pipeline.store.port.delete("order-42")
    pipeline.redrive("parcel")
    pipeline.run_until_idle()

    assert (pipeline.job("order-42").task, pipeline.job("order-42").result) == ("parcel", '"parcel 2"')
    assert pipeline.dead_letters() == []


def test_a_follow_up_whose_id_is_taken_is_given_up_and_its_job_stands(pipeline, worker_log):
    pipeline.send('{"id": "a.ok.0", "payload": {"number": 2}}', "parcel")
    pipeline.run_until_idle()

    job = invoice.options(id="a").delay(1)
    pipeline.run_until_idle()

    assert job.result(0) == "invoice 1"
    assert "follow_up" not in pipeline.record("a")
    assert pipeline.waiting() == []


def test_hooks_are_told_of_the_messages_own_record(pipeline, recorder):
    ended(pipeline, State.SUCCEEDED)
    recorder.forget()
    pipeline.send('{"id": "order-42", "payload": {"number": 2}}', "parcel")
    pipeline.run_until_idle()

    told = [arguments[:3] for arguments in recorder.of("ended_without_run")]
    assert told == [("parcel", "order-42@parcel", State.FAILED)]


def test_ids_of_jobs_are_those_of_their_records(pipeline):
    seen = []

    @task
    def look() -> None:
        seen.append(current_job().id)

    pipeline.deploy(look)
    look.options(id="mine").delay()
    pipeline.run_until_idle()
    assert seen == ["mine"]


def test_the_copy_of_a_message_for_another_task_fails_under_the_same_record(pipeline):
    """The first delivery records the failure and cannot enqueue its follow-up; the second one sends a copy."""
    pipeline.queues.fail("send", Unavailable("throttled"), skip=1)  # the first send is that of the message itself
    pipeline.store.fail("apply", Unavailable("throttled"), skip=1, times=20)
    job_id = pipeline.send('{"payload": {"number": 1}, "task": "another"}', "invoice")
    pipeline.run_until_idle()
    assert [job.id for job in pipeline.jobs] == [job_id, f"{job_id}.failed.0"]
    assert ran == [f"heard of {job_id} FAILED"]
    assert any("replaces" in message.body for message in pipeline.dead("invoice")), "it was replaced by a copy"
