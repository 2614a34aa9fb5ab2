"""The producer dies at every call of everything it does: no job is lost, none runs twice, no record waits for ever."""

from __future__ import annotations

import json

import pytest

from offload import Retry, State, task
from offload.core.producing import Options, Order
from offload.operate.dead_letters import list_dead_letters
from offload.operate.redriving import Selection, redrive
from offload.testing.processes import Killed
from tests.client.mortal import Fate, producer

HIDDEN = 901
"""Seconds after which a redrive's messages are visible again though it died."""


@pytest.fixture
def runs():
    return []


@pytest.fixture
def fails():
    """Jobs that fail as long as they are in here."""
    return set()


@pytest.fixture
def work(runs, fails):
    @task(priorities=("default", "high"), retry=Retry(max_attempts=2, base="1h", jitter=False))
    def work(name: str) -> str:
        runs.append(name)
        if name in fails:
            raise ValueError("boom")
        return name

    return work


def order(name, **options):
    return Order("work", {"name": name}, Options(**options))


LANES = [order(f"d{n}", id=f"d{n}") for n in range(12)] + [
    order(f"h{n}", id=f"h{n}", priority="high") for n in range(3)
]

ENQUEUEING = {
    "send": [order("a", id="a")],
    "send with a key": [order("a", key="k")],
    "send with a delay": [order("a", id="a", delay="5m")],
    "send with a long delay": [order("a", id="a", delay="2h")],
    "send a large payload": [Order("work", {"name": "a" * 300_000}, Options(id="a"))],
    "send many in two batches": LANES,
    "send many of each kind": [
        order("a", id="a"), order("b", id="b", priority="high"), order("c", id="c", delay="1h"), order("d", key="k")
    ],
}  # fmt: skip


def every_death(when):
    """Fates that die later and later, until one lives."""
    for number in range(1, 500):
        fate = Fate(number, when)
        yield fate
        if not fate.dead:
            return
    raise AssertionError("it never ends")


def stuck(world):
    """Records that say that their job will start, although no message of theirs is left."""
    return [item["id"] for item in world.store.items() if item.get("state") in ("PENDING", "SCHEDULED", "RETRYING")]


def accepted(world):
    """Ids of the jobs whose messages were sent, or left with the service that will send them."""
    bodies = [message.body for _, message in world.queues.called("send")]
    bodies += [message.body for _, messages in world.queues.called("send_batch") for message in messages]
    bodies += [body for _, _, body, _ in world.timers.called("send_at")]
    return {json.loads(body)["id"] for body in bodies}


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("name", ENQUEUEING)
def test_enqueueing(stage, work, runs, name, when, again):
    orders = ENQUEUEING[name]
    wanted = sorted(each.payload["name"] for each in orders)
    seen = 0

    def act(client):
        if len(orders) == 1:
            client.send(orders[0])
        else:
            client.send_many(orders)

    for fate in every_death(when):
        runs.clear()
        world = stage(work)
        try:
            act(producer(world, fate))
        except Killed:
            seen += 1
        if again:
            act(world.client)
        world.run_until_idle()
        assert stuck(world) == []
        assert len(set(runs)) == len(runs), "a job ran twice"
        assert len(runs) == len(accepted(world)), "a job that was accepted did not run"
        if again or not fate.dead:
            assert sorted(runs) == wanted
        assert {job["state"] for job in world.store.items() if "state" in job} <= {"SUCCEEDED"}
        assert world.waiting() == world.dead() == []
    assert seen == len(fate.calls) >= 2


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("verb", ["retry", "redrive"])
@pytest.mark.parametrize("bare", [False, True])
def test_bringing_back(stage, work, runs, fails, verb, when, again, bare):
    seen = 0
    for fate in every_death(when):
        world = stage(work)
        fails |= {"a", "b"}
        others = work.delay_many([("b",)] * 3)
        job_id = world.send('{"payload": {"name": "a"}}') if bare else work.delay("a").id
        world.run_until_idle()
        world.clock.advance(60)
        assert len(world.dead()) == 4
        fails.discard("a")
        runs.clear()

        def act(client, job_id=job_id):
            if verb == "retry":
                client.retry(job_id)
            else:
                redrive(client, "work", Selection(ids={job_id}))

        try:
            act(producer(world, fate))
        except Killed:
            seen += 1
        if again:
            world.clock.advance(HIDDEN)
            if world.job(job_id).state is State.FAILED and len(world.dead()) == 4 and not world.waiting():
                act(world.client)
        world.run_until_idle()
        assert stuck(world) == []
        assert runs in ([], ["a"])
        world.clock.advance(HIDDEN)
        dead = {letter.job_id for letter in list_dead_letters(world.client, "work", limit=100)}
        record = world.job(job_id)
        if runs:
            assert (record.state, record.redrives) == (State.SUCCEEDED, 1)
        else:
            assert fate.dead
            assert not again
            assert (record.state, record.redrives) == (State.FAILED, 0)
            assert job_id in dead, "it failed, and its message is lost"
        assert {job.id for job in others} <= dead
        # A second message that a death left behind runs nothing; the only one runs.
        redrive(world.client, "work", Selection(ids={job_id}))
        world.run_until_idle()
        assert runs == ["a"]
    assert seen == len(fate.calls) >= 5


@pytest.mark.parametrize("when", ["before", "after"])
def test_cutting_a_wait_short(stage, work, runs, fails, when):
    seen = 0
    for fate in every_death(when):
        world = stage(work)
        runs.clear()
        fails.add("a")
        job = work.delay("a")
        world.drain()
        fails.clear()
        begin = world.clock.now()
        try:
            producer(world, fate).retry(job.id)
        except Killed:
            seen += 1
        world.run_until_idle()
        assert runs == ["a", "a"]
        assert (job.status(), job.record().attempt) == (State.SUCCEEDED, 2)
        assert stuck(world) == []
        assert world.clock.now() - begin <= 3_600_000
    assert seen == 3
