"""An idempotency key names one job for a day: whoever uses it again gets that job, and no crash loses or doubles it."""

from __future__ import annotations

import pytest

from offload import Refused, Retry, State, Unavailable, UnknownJob, task
from offload.core.enqueueing.options import CheckedOptions
from offload.core.enqueueing.request import EnqueueRequest
from offload.core.jobs.idempotency_keys import KEY_WINDOW
from offload.testing.processes import Killed
from tests.client.dying_producer import Death, dying_client, every_death
from tests.runtime.interference import just_before
from tests.runtime.scripted_task import ScriptedTask, fail

DAY = KEY_WINDOW


@pytest.fixture
def work():
    return ScriptedTask(retry=Retry(max_attempts=1))


@pytest.fixture
def pipeline(deploy, work):
    return deploy(work)


def use_key(work, name="again", **options):
    """Enqueue a job under the key. Its name tells which use it was of, so the arguments differ."""
    return work.options(key="k", key_may_differ=True, **options).delay(name)


def to_key(write):
    return write.id.startswith("key#")


def confirms_key(write):
    return "confirmed" in write.set


# One job


def test_a_key_names_one_job(pipeline, work):
    first, second = use_key(work, "first"), use_key(work, "second")
    assert (first.id, first.created, second.created) == (second.id, True, False)
    pipeline.drain()

    third = use_key(work, "third")

    assert third.id == first.id
    assert pipeline.waiting() == []
    assert third.result(0) == "first"


def test_two_tasks_share_no_key(deploy, work):
    @task
    def other(name: str) -> None: ...

    deploy(work, other)

    assert use_key(work).id != other.options(key="k").delay("a").id


def test_the_item_of_a_key_is_no_job(pipeline, work):
    use_key(work)

    for look in (pipeline.client.job, pipeline.client.cancel):
        with pytest.raises(UnknownJob):
            look("key#work#k")


def test_two_producers_that_use_a_key_at_once_have_one_job(pipeline, work):
    others = []
    just_before(pipeline.store, "apply", lambda: others.append(use_key(work)), where=to_key)

    mine = use_key(work)

    (other,) = others
    assert mine.id == other.id
    assert (other.created, mine.created) == (True, False)


# When it is free again


def test_a_key_is_free_again_after_a_day(pipeline, work):
    first = use_key(work)

    pipeline.clock.advance(DAY - 1)
    assert use_key(work).id == first.id
    pipeline.clock.advance(1)
    again = use_key(work)

    assert again.created
    assert again.id != first.id


@pytest.mark.parametrize("end", ["cancelled", "cancelled without a record", "expired"])
def test_a_job_that_never_started_frees_its_key(pipeline, work, end):
    if end == "cancelled without a record":
        pipeline.store.fail("apply", Unavailable("down"), where=lambda write: "history" in write.set)
    first = use_key(work, expires="1m" if end == "expired" else None)
    if end == "expired":
        pipeline.clock.advance(61)
    else:
        first.cancel()
    pipeline.run_until_idle()
    assert first.status() in (State.CANCELLED, State.EXPIRED)

    second = use_key(work)
    assert (second.created, second.id == first.id) == (True, False)
    pipeline.run_until_idle()

    assert work.names == ["again"]
    assert second.result(0) == "again"
    third = use_key(work)
    assert (third.created, third.id) == (False, second.id)


def test_the_message_of_a_cancelled_job_that_is_still_there_does_not_run_it(pipeline, work):
    use_key(work, "first").cancel()
    use_key(work, "second")
    assert len(pipeline.waiting()) == 2

    pipeline.run_until_idle()

    assert work.names == ["second"]


def test_the_job_that_takes_over_a_key_has_a_day_of_its_own(pipeline, work):
    use_key(work).cancel()
    pipeline.clock.advance(DAY - 10)
    second = use_key(work)

    pipeline.clock.advance(DAY - 10)
    assert use_key(work).id == second.id
    pipeline.clock.advance(10)
    assert use_key(work).created


@pytest.mark.parametrize(
    "end", ["waiting", "running", "succeeded", "failed", "rejected", "cancelled after a start", "retried"]
)
def test_every_other_job_keeps_its_key(pipeline, work, end):
    if end in ("failed", "retried"):
        work.on_run(1, fail)
    # A job that is rejected fails without a start, which is worth knowing to whoever tries again.
    payload = {"nope": "first"} if end == "rejected" else {"name": "first"}
    # Its producer knew another signature of the task.
    first = pipeline.client.send(EnqueueRequest("work", payload, CheckedOptions(key="k")))
    if end != "waiting":
        pipeline.run_until_idle()
    if end in ("failed", "rejected", "retried"):
        assert first.status() is State.FAILED
    if end == "running":
        pipeline.store.port.change(first.id, state="RUNNING")
    if end == "cancelled after a start":
        pipeline.store.port.change(first.id, state="CANCELLED")
    if end == "retried":  # its attempts start over, and yet it did start
        first.retry()
        first.cancel()
        assert (first.status(), first.record().attempt) == (State.CANCELLED, 0)

    again = use_key(work)

    assert (again.created, again.id) == (False, first.id)
    pipeline.run_until_idle()
    assert "again" not in work.names


def test_a_key_whose_job_is_to_have_the_same_id_stays_as_it_is(pipeline, work):
    use_key(work, id="mine").cancel()

    again = use_key(work, id="mine")

    assert (again.created, again.status()) == (False, State.CANCELLED)


def test_two_producers_that_free_a_key_at_once_have_one_job(pipeline, work):
    use_key(work, "first").cancel()
    others = []
    just_before(
        pipeline.store,
        "apply",
        lambda: others.append(use_key(work, "other")),
        where=lambda write: to_key(write) and write.when[0][0].attribute == "job",
    )

    mine = use_key(work, "mine")

    (other,) = others
    assert (mine.created, mine.id) == (False, other.id)
    pipeline.run_until_idle()
    assert work.names == ["other"]


# What it costs


def test_what_a_key_costs(pipeline, work):
    def requests_of_a_use():
        pipeline.store.calls.clear()
        pipeline.queues.calls.clear()
        use_key(work)
        return [name for name, _ in pipeline.store.calls], [name for name, _ in pipeline.queues.calls]

    assert requests_of_a_use() == (["apply"] * 3, ["send"])
    assert requests_of_a_use() == (["apply", "get"], [])


# Crashes, and services that do not answer


@pytest.mark.parametrize("answer_lost", [False, True])
def test_a_key_whose_message_is_not_known_to_be_sent_is_used_again(pipeline, work, answer_lost):
    pipeline.queues.fail("send", Unavailable("down"), after=answer_lost)
    with pytest.raises(Unavailable):
        use_key(work, "first")

    job = use_key(work, "first")
    pipeline.drain()

    assert job.result(0) == "first"
    assert job.record().attempt == 1
    assert len(pipeline.jobs) == 1


@pytest.mark.parametrize("error", [Unavailable("down"), Refused("denied")])
def test_a_key_that_was_not_confirmed_does_not_undo_its_job(pipeline, work, error):
    pipeline.store.fail("apply", error, where=confirms_key)

    first = use_key(work, "first")
    again = use_key(work)
    pipeline.drain()

    assert first.created
    assert again.id == first.id
    assert again.result(0) == "first"
    assert again.record().attempt == 1
    assert len(pipeline.jobs) == 1


def test_a_key_that_was_not_confirmed_sends_nothing_for_a_job_with_a_record(pipeline, work):
    pipeline.store.fail("apply", Unavailable("down"), where=confirms_key)
    first = use_key(work)

    assert use_key(work).id == first.id

    assert len(pipeline.waiting()) == 1


@pytest.mark.parametrize("between", ["at once", "after the worker"])
@pytest.mark.parametrize("freed", [False, True])
@pytest.mark.parametrize("delay", [None, "2h"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_producer_that_dies_and_tries_again_has_one_job(deploy, when, delay, freed, between):
    request = EnqueueRequest("work", {"name": "a"}, CheckedOptions(key="k", delay=delay))
    deaths: list[Death] = []

    for death in every_death(when):
        deaths.append(death)
        work = ScriptedTask(retry=Retry(max_attempts=1))
        pipeline = deploy(work)
        if freed:
            use_key(work, "first").cancel()
        try:
            dying_client(pipeline, death).send(request)
        except Killed:
            if between == "after the worker":
                pipeline.run_until_idle()
            again = pipeline.client.send(request)
            pipeline.run_until_idle()

            assert again.result(0) == "a"
            assert work.names == ["a"]
            assert pipeline.waiting() == pipeline.dead() == []
            assert pipeline.client.send(request).id == again.id
            assert pipeline.waiting() == []

    lived = deaths[-1]
    assert not lived.happened
    assert lived.requests == [
        "apply", *(["get", "apply"] if freed else []), "send_at" if delay else "send", "apply", "apply"
    ]  # fmt: skip
