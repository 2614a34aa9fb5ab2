"""Tasks that follow an end: enqueued once, whatever is repeated or lost, and never without end."""

from __future__ import annotations

from typing import Any

import pytest

from offload import Permanent, Retry, State, Unavailable, current_job, task


def pair(fail=False, **settings):
    told = []

    @task(on_success="cheer", on_failure="alert", retry=Retry(max_attempts=1), **settings)
    def first(x: int = 1) -> int:
        if fail:
            raise Permanent("no")
        return x

    @task
    def cheer(job: dict[str, Any]) -> None:
        told.append(("cheer", current_job().hops, job))

    @task
    def alert(job: dict[str, Any]) -> None:
        told.append(("alert", current_job().hops, job))

    return [first, cheer, alert], told


@pytest.mark.parametrize("fail", [False, True])
def test_the_follow_up_gets_the_outcome(stage, fail):
    tasks, told = pair(fail)
    world = stage(*tasks)
    job = tasks[0].options(tenant="acme").delay(7)
    world.run_until_idle()
    ((name, hops, outcome),) = told
    assert (name, hops) == (("alert" if fail else "cheer"), 1)
    assert (outcome["id"], outcome["task"], outcome["state"]) == (job.id, "first", "FAILED" if fail else "SUCCEEDED")
    if fail:
        assert outcome["error"] == {"type": "Permanent", "message": "no"}
    else:
        assert outcome["result"] == "7"
    (follow_up,) = [item for item in world.store.items() if item["task"] == name]
    assert (follow_up["tenant"], follow_up["parent"]) == ("acme", job.id)
    assert "follow_up" not in world.item(job.id)


@pytest.mark.parametrize("fail", [False, True])
@pytest.mark.parametrize("after", [False, True])
def test_a_follow_up_that_could_not_be_sent_is_sent_later_and_once(stage, fail, after):
    tasks, told = pair(fail)
    world = stage(*tasks)
    tasks[0].delay()
    world.queues.fail("send", Unavailable("throttled"), after=after, times=2)
    world.run_until_idle()
    assert len(told) == 1
    assert len(world.dead("first")) == fail


def test_an_outage_does_not_use_up_the_receives_of_a_failed_job(stage):
    tasks, told = pair(fail=True)
    world = stage(*tasks)
    tasks[0].delay()
    over = world.clock.now() + 60_000
    world.queues.fail("send", Unavailable("down"), times=1000, where=lambda *_: world.clock.now() < over)
    world.run_until_idle()
    assert [name for name, _, _ in told] == ["alert"]
    assert len(world.dead("first")) == 1


def test_a_crash_between_the_end_and_the_follow_up_is_repaired(stage):
    tasks, told = pair()
    world = stage(*tasks)
    tasks[0].delay()
    original = world.queues.port.send

    def crash(queue, message):
        world.queues.port.send = original
        world.kill()

    world.queues.port.send = crash
    world.run_until_idle()
    assert len(told) == 1


def test_a_rejected_message_has_a_follow_up_too(stage):
    tasks, told = pair()
    world = stage(*tasks)
    world.send("no json", "first")
    world.run_until_idle()
    assert [name for name, _, _ in told] == ["alert"]


def test_a_redriven_job_has_another_follow_up(stage):
    tasks, told = pair(fail=True)
    world = stage(*tasks)
    tasks[0].delay()
    world.run_until_idle()
    world.clock.advance(60)
    world.redrive("first")
    world.run_until_idle()
    assert [name for name, _, _ in told] == ["alert", "alert"]


@pytest.mark.parametrize("tenant", ["x" * 200, ""])
def test_a_follow_up_that_can_never_be_sent_does_not_spoil_the_end(stage, tenant):
    import json

    tasks, told = pair()
    world = stage(*tasks)
    world.send(json.dumps({"id": "a", "payload": {}, "tenant": tenant}), "first")
    world.run_until_idle()
    assert world.job("a").state is State.SUCCEEDED
    assert world.dead("first") == []
    assert len(told) <= 1


def test_a_follow_up_that_is_not_deployed_does_not_spoil_the_end(stage):
    tasks, _ = pair()
    world = stage(tasks[0])
    job = tasks[0].delay()
    world.run_until_idle()
    assert job.status() is State.SUCCEEDED
    assert world.dead() == []


@pytest.mark.parametrize("end", ["on_success", "on_failure"])
def test_tasks_that_follow_each_other_do_not_do_so_for_ever(stage, end):
    runs = []

    @task(**{end: "pong"}, retry=Retry(max_attempts=1))
    def ping(job: dict[str, Any] | None = None) -> None:
        runs.append("ping")
        if end == "on_failure":
            raise Permanent("no")

    @task(**{end: "ping"}, retry=Retry(max_attempts=1))
    def pong(job: dict[str, Any] | None = None) -> None:
        runs.append("pong")
        if end == "on_failure":
            raise Permanent("no")

    world = stage(ping, pong)
    ping.delay()
    world.run_until_idle()
    assert len(runs) == 51


def test_tasks_that_enqueue_each_other_do_not_do_so_for_ever(stage):
    runs = []

    @task(retry=Retry(max_attempts=1))
    def again() -> None:
        runs.append(current_job().hops)
        again.delay()

    world = stage(again)
    again.delay()
    world.run_until_idle()
    assert runs == list(range(51))
    (dead,) = world.dead()
    (item,) = [item for item in world.store.items() if item["state"] == "FAILED"]
    assert "break the loop" in item["error"]["message"]
    assert item["parent"]
    assert item["id"] in dead.body
