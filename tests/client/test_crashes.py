"""A producer dies at every request of everything it does: no job is lost, none runs twice, none is PENDING for ever."""

from __future__ import annotations

import json

import pytest

from offload import Retry, State
from offload.core.enqueueing.bulk import BulkRequest
from offload.core.enqueueing.options import CheckedOptions
from offload.core.enqueueing.request import EnqueueRequest
from offload.operate.dead_letters import list_dead_letters
from offload.operate.redrive import Selection, redrive
from offload.testing.processes import Killed
from tests.client.dying_producer import dying_client, every_death
from tests.runtime.scripted_task import ScriptedTask, fail

HIDDEN = 901
"""Seconds after which the messages of a redrive that died are visible again."""

HOUR = 3_600
WHEN = pytest.mark.parametrize("when", ["before", "after"])
TRIES_AGAIN = pytest.mark.parametrize("tries_again", [False, True])


def a_task():
    return ScriptedTask(priorities=("default", "high"), retry=Retry(max_attempts=2, base="1h", cap="1h", jitter=False))


def request(name, **options):
    return EnqueueRequest("work", {"name": name}, CheckedOptions(**options))


TWO_BATCHES = [request(f"d{number}", id=f"d{number}") for number in range(12)]
IN_THE_OTHER_LANE = [request(f"h{number}", id=f"h{number}", priority="high") for number in range(3)]

ENQUEUEING = {
    "one": [request("a", id="a")],
    "one with a key": [request("a", key="k")],
    "one with a delay": [request("a", id="a", delay="5m")],
    "one with a long delay": [request("a", id="a", delay="2h")],
    "one with a large payload": [EnqueueRequest("work", {"name": "a" * 300_000}, CheckedOptions(id="a"))],
    "many in several batches": TWO_BATCHES + IN_THE_OTHER_LANE,
    "many, one of each kind": [
        request("a", id="a"), request("b", id="b", priority="high"), request("c", id="c", delay="1h"),
        request("d", key="k"),
    ],
}  # fmt: skip


def stuck(pipeline):
    """Ids of records that promise a start although no message of theirs is left."""
    waiting = ("PENDING", "SCHEDULED", "RETRYING")
    return [record["id"] for record in pipeline.store.items() if record.get("state") in waiting]


def accepted(pipeline):
    """Ids of the jobs whose messages were sent, or left with the service that will send them."""
    bodies = [message.body for _, message in pipeline.queues.called("send")]
    bodies += [message.body for _, messages in pipeline.queues.called("send_batch") for message in messages]
    bodies += [body for _, _, body, _ in pipeline.timers.called("send_at")]
    return {json.loads(body)["id"] for body in bodies}


@TRIES_AGAIN
@WHEN
@pytest.mark.parametrize("kind", ENQUEUEING)
def test_enqueueing(deploy, kind, when, tries_again):
    requests = ENQUEUEING[kind]
    wanted = sorted(each.payload["name"] for each in requests)
    died = 0

    def enqueue(client):
        if len(requests) == 1:
            client.send(requests[0])
        else:
            client.send_many(BulkRequest("work", requests, lambda each: each))

    for death in every_death(when):
        work = a_task()
        pipeline = deploy(work)
        try:
            enqueue(dying_client(pipeline, death))
        except Killed:
            died += 1
        if tries_again:
            enqueue(pipeline.client)
        pipeline.run_until_idle()

        assert stuck(pipeline) == []
        assert len(set(work.names)) == len(work.names), "a job ran twice"
        assert len(work.names) == len(accepted(pipeline)), "a job that was accepted did not run"
        if tries_again or not death.happened:
            assert sorted(work.names) == wanted
        assert {job.state for job in pipeline.jobs} <= {State.SUCCEEDED}
        assert pipeline.waiting() == pipeline.dead() == []
    assert died == len(death.requests) >= 2


@TRIES_AGAIN
@WHEN
@pytest.mark.parametrize("verb", ["retry", "redrive"])
@pytest.mark.parametrize("bare", [False, True])
def test_bringing_a_failed_job_back(deploy, verb, when, tries_again, bare):
    died = 0
    for death in every_death(when):
        work = a_task()
        pipeline = deploy(work)
        work.on_first_runs(2, fail, of="a")
        work.on_every_run(fail, of="other")
        others = work.delay_many(["other"] * 3)
        job_id = pipeline.send('{"payload": {"name": "a"}}') if bare else work.delay("a").id
        pipeline.run_until_idle()
        pipeline.clock.advance(60)
        assert len(pipeline.dead()) == 4
        work.runs.clear()

        def bring_back(client, job_id=job_id):
            if verb == "retry":
                client.retry(job_id)
            else:
                redrive(client, "work", Selection(ids={job_id}))

        try:
            bring_back(dying_client(pipeline, death))
        except Killed:
            died += 1
        if tries_again:
            pipeline.clock.advance(HIDDEN)
            nothing_happened = len(pipeline.dead()) == 4 and not pipeline.waiting()
            if pipeline.job(job_id).state is State.FAILED and nothing_happened:
                bring_back(pipeline.client)
        pipeline.run_until_idle()

        assert stuck(pipeline) == []
        assert work.names in ([], ["a"])
        pipeline.clock.advance(HIDDEN)
        dead = {letter.job_id for letter in list_dead_letters(pipeline.client, "work", limit=100)}
        record = pipeline.job(job_id)
        if work.runs:
            assert (record.state, record.redrives) == (State.SUCCEEDED, 1)
        else:
            assert death.happened
            assert not tries_again
            assert (record.state, record.redrives) == (State.FAILED, 0)
            assert job_id in dead, "it failed, and its message is lost"
        assert {job.id for job in others} <= dead

        # A second message that a death has left behind runs nothing; if it is the only one, it runs.
        redrive(pipeline.client, "work", Selection(ids={job_id}))
        pipeline.run_until_idle()
        assert work.names == ["a"]
    assert died == len(death.requests) >= 5


@WHEN
def test_cutting_a_wait_short(deploy, when):
    died = 0
    for death in every_death(when):
        work = a_task()
        pipeline = deploy(work)
        work.on_run(1, fail)
        job = work.delay("a")
        pipeline.drain()
        began_at = pipeline.clock.now()

        try:
            dying_client(pipeline, death).retry(job.id)
        except Killed:
            died += 1
        pipeline.run_until_idle()

        assert work.names == ["a", "a"]
        assert (job.status(), job.record().attempt) == (State.SUCCEEDED, 2)
        assert stuck(pipeline) == []
        assert pipeline.clock.now() - began_at <= HOUR * 1000
    assert died == 5
