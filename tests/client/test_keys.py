"""What an idempotency key names, when it is free again, and that no crash loses or doubles its job."""

from __future__ import annotations

import pytest

from offload import Retry, State, Unavailable, task
from offload.core.keys import WINDOW_MS
from offload.core.producing import Options, Order
from offload.testing.processes import Killed
from tests.client.mortal import Fate, producer


@pytest.fixture
def runs():
    return []


@pytest.fixture
def work(runs):
    @task(retry=Retry(max_attempts=1))
    def work(name: str = "") -> str:
        runs.append(name)
        if name == "fails":
            raise ValueError("boom")
        return name

    return work


@pytest.fixture
def world(stage, work):
    return stage(work)


def use(work, name="again", **options):
    return work.options(key="k", **options).delay(name)


# Freeing


@pytest.mark.parametrize("end", ["cancelled", "cancelled without a record", "expired"])
def test_a_job_that_never_started_frees_its_key(world, work, runs, end):
    if end == "cancelled without a record":
        world.store.fail("apply", Unavailable("down"), where=lambda write: "history" in write.set)
    first = use(work, expires="1m" if end == "expired" else None)
    if end == "expired":
        world.clock.advance(61)
    else:
        first.cancel()
    world.run_until_idle()
    assert first.status() in (State.CANCELLED, State.EXPIRED)
    second = use(work)
    assert (second.created, second.id == first.id) == (True, False)
    world.run_until_idle()
    assert runs == ["again"]
    assert second.result(0) == "again"
    third = use(work)
    assert (third.created, third.id) == (False, second.id)


def test_the_message_of_a_cancelled_job_that_is_still_there_does_not_run_it(world, work, runs):
    use(work, "first").cancel()
    use(work, "second")
    assert len(world.waiting()) == 2
    world.run_until_idle()
    assert runs == ["second"]


def test_the_new_job_has_a_day_of_its_own(world, work):
    first = use(work)
    first.cancel()
    world.clock.advance(WINDOW_MS / 1000 - 10)
    second = use(work)
    world.clock.advance(WINDOW_MS / 1000 - 10)
    assert use(work).id == second.id
    world.clock.advance(10)
    assert use(work).created


@pytest.mark.parametrize(
    "end", ["waiting", "running", "succeeded", "failed", "rejected", "cancelled after a start", "retried"]
)
def test_every_other_job_keeps_its_key(world, work, runs, end):
    first = use(work, "fails" if end in ("failed", "retried") else "first")
    if end == "rejected":  # it failed without a start, which is worth knowing to whoever tries again
        (message,) = world.waiting()
        world.queues.port._queues[world.queue()].messages[0].body = message.body.replace("name", "nope")
    if end != "waiting":
        world.run_until_idle()
    if end == "running":
        world.store.port._items[first.id]["state"] = "RUNNING"
    if end == "cancelled after a start":
        world.store.port._items[first.id]["state"] = "CANCELLED"
    if end == "retried":  # its attempts start over, and yet it did start
        first.retry()
        first.cancel()
        assert (first.status(), first.record().attempt) == (State.CANCELLED, 0)
    again = use(work)
    assert (again.created, again.id) == (False, first.id)
    world.run_until_idle()
    assert "again" not in runs


def test_a_key_whose_job_has_the_same_id_stays_as_it_is(world, work, runs):
    first = use(work, id="mine")
    first.cancel()
    again = use(work, id="mine")
    assert (again.created, again.status()) == (False, State.CANCELLED)


def test_two_producers_free_one_key_at_once(world, work, runs):
    use(work, "first").cancel()
    original = world.store.port.apply
    others = []

    def meanwhile(write):
        if write.id.startswith("key#") and write.when[0][0].attribute == "job" and not others:
            others.append(None)
            others.append(use(work, "other"))
        return original(write)

    world.store.port.apply = meanwhile
    mine = use(work, "mine")
    assert (mine.created, mine.id) == (False, others[1].id)
    world.run_until_idle()
    assert runs == ["other"]


def test_a_key_that_was_not_confirmed_sends_nothing_for_a_job_with_a_record(world, work):
    world.store.fail("apply", Unavailable("down"), where=lambda write: "confirmed" in write.set)
    first = use(work)
    assert use(work).id == first.id
    assert len(world.waiting()) == 1


def test_what_a_key_costs(world, work):
    def calls(**options):
        world.store.calls.clear()
        world.queues.calls.clear()
        use(work, **options)
        return [name for name, _ in world.store.calls], [name for name, _ in world.queues.calls]

    assert calls() == (["apply"] * 3, ["send"])
    assert calls() == (["apply", "get"], [])


# Crashes


@pytest.mark.parametrize("between", ["at once", "after the worker"])
@pytest.mark.parametrize("freed", [False, True])
@pytest.mark.parametrize("delay", [None, "2h"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_producer_that_dies_and_tries_again_has_one_job(stage, work, runs, when, delay, freed, between):
    order = Order("work", {"name": "a"}, Options(key="k", delay=delay))
    number = 0
    while True:
        number += 1
        world = stage(work)
        runs.clear()
        if freed:
            use(work, "first").cancel()
        fate = Fate(number, when)
        try:
            producer(world, fate).send(order)
        except Killed:
            if between == "after the worker":
                world.run_until_idle()
            again = world.client.send(order)
            world.run_until_idle()
            assert again.result(0) == "a"
            assert runs == ["a"]
            assert world.waiting() == world.dead() == []
            assert world.client.send(order).id == again.id
            assert world.waiting() == []
        else:
            break
    assert fate.calls == [
        "apply", *(["get", "apply"] if freed else []), "send_at" if delay else "send", "apply", "apply"
    ]  # fmt: skip
