"""An id that another task has: whoever enqueues under it is told, and no handle shows another task's job."""

from __future__ import annotations

import asyncio

import pytest

from offload import (
    IdTaken,
    JobHandle,
    PartlyEnqueued,
    ResultTimeout,
    Retry,
    State,
    Unavailable,
    UnknownJob,
    WrongState,
    task,
)
from tests.runtime.interference import just_before, right_after

ran: list[str] = []


@task(retry=Retry(max_attempts=1))
def invoice(number: int) -> str:
    ran.append("invoice")
    return f"invoice {number}"


@task(retry=Retry(max_attempts=1))
def parcel(number: int) -> str:
    ran.append("parcel")
    return f"parcel {number}"


@pytest.fixture
def pipeline(deploy):
    ran.clear()
    return deploy(invoice, parcel)


@pytest.fixture
def theirs(pipeline):
    return invoice.options(id="order-42").delay(1)


# Enqueueing


@pytest.mark.parametrize("state", State)
def test_an_id_of_another_task_is_refused_before_anything_is_sent(pipeline, theirs, state):
    pipeline.store.port.change(theirs.id, state=state.value)
    before = pipeline.record(theirs.id)

    with pytest.raises(IdTaken, match="job id 'order-42' belongs to task 'invoice': choose another id"):
        parcel.options(id="order-42").delay(2)

    assert pipeline.waiting("parcel") == []
    assert pipeline.record(theirs.id) == before


@pytest.mark.parametrize("options", [{"key": "k"}, {"delay": "2h"}, {"delay": "5s"}])
def test_so_it_is_whatever_the_other_options_are(pipeline, theirs, options):
    with pytest.raises(IdTaken):
        parcel.options(id="order-42", **options).delay(2)
    assert pipeline.waiting("parcel") == []
    assert not pipeline.timers.port.waiting()


def test_so_it_is_by_name_and_among_many(pipeline, theirs):
    with pytest.raises(IdTaken):
        pipeline.client.enqueue("parcel", {"number": 2}, id="order-42")
    with pytest.raises(PartlyEnqueued) as partly:
        pipeline.client.enqueue_many("parcel", [({"number": n}, {"id": f"order-4{n}"}) for n in (1, 2)])
    assert {index: type(error) for index, error in partly.value.failures.items()} == {1: IdTaken}


def test_a_race_that_is_lost_is_told_and_the_message_becomes_a_dead_letter(pipeline):
    just_before(pipeline.queues, "send", lambda: invoice.options(id="order-42").delay(1))

    with pytest.raises(IdTaken):
        parcel.options(id="order-42").delay(2)

    pipeline.run_until_idle()
    assert pipeline.job("order-42").result == '"invoice 1"'
    (letter,) = pipeline.dead_letters()
    assert (letter.task, letter.reason[:7]) == ("parcel", "IdTaken")
    assert ran == ["invoice"]


# The same task and the same id


def test_the_same_id_again_is_the_same_job_and_nothing_is_sent(pipeline):
    first = parcel.options(id="a").delay(2)
    pipeline.store.calls.clear()
    again = parcel.options(id="a").delay(2)

    assert (first.created, again.created) == (True, False)
    assert [name for name, _ in pipeline.store.calls] == ["get"]
    assert len(pipeline.waiting()) == 1
    pipeline.run_until_idle()
    assert again.result(0) == "parcel 2"
    assert parcel.options(id="a").delay(2).created is False
    assert ran == ["parcel"]


@pytest.mark.parametrize("faster", ["worker", "another producer"])
def test_whether_a_job_is_new_is_told_by_the_record_that_was_there_first(pipeline, faster):
    def meanwhile():
        pipeline.clock.advance(1)
        if faster == "worker":
            pipeline.drain()
        else:
            assert parcel.options(id="a").delay(2).created
        pipeline.clock.advance(1)

    if faster == "worker":
        right_after(pipeline.queues, "send", meanwhile)
    else:
        right_after(pipeline.store, "get", meanwhile)

    assert parcel.options(id="a").delay(2).created is (faster == "worker")


def test_an_id_that_is_drawn_costs_no_read(pipeline):
    parcel.delay(1)
    assert [name for name, _ in pipeline.store.calls] == ["apply"]


def test_an_id_whose_message_was_not_sent_is_used_again(pipeline):
    pipeline.queues.fail("send", Unavailable("down"))
    with pytest.raises(Unavailable):
        parcel.options(id="a").delay(2)
    again = parcel.options(id="a").delay(2)
    pipeline.run_until_idle()
    assert (again.created, again.result(0)) == (True, "parcel 2")


# Asking


@pytest.mark.parametrize("state", State)
def test_no_handle_shows_another_tasks_job(pipeline, theirs, state):
    pipeline.drain()
    pipeline.store.port.change(theirs.id, state=state.value)
    before = pipeline.record(theirs.id)
    # As `.delay()` returns it where nothing is known of the id, and as it is made from an id.
    for handle in (
        JobHandle("order-42", "parcel", pipeline.client),
        JobHandle("order-42", "parcel", pipeline.client, _accepted=False),
    ):
        for ask in (handle.record, handle.status):
            with pytest.raises(IdTaken, match="belongs to task 'invoice'"):
                ask()
        # Without a task, only the end of the wait shows whose job it is.
        told = IdTaken if handle._accepted else (IdTaken, ResultTimeout)
        for wait in (handle.wait, handle.result, lambda timeout, of=handle: asyncio.run(of.aresult(timeout))):
            with pytest.raises(told):
                wait(0)
        if handle._accepted:
            for act in (handle.cancel, lambda of=handle: of.retry(0)):
                with pytest.raises(IdTaken):
                    act()
    assert pipeline.record(theirs.id) == before


@pytest.mark.parametrize("state", State)
def test_a_client_that_is_told_the_task_does_nothing_with_another_tasks_job(pipeline, theirs, state):
    pipeline.store.port.change(theirs.id, state=state.value)
    before = pipeline.record(theirs.id)
    client = pipeline.client
    for ask in (
        client.job,
        client.cancel,
        lambda job_id, task: client.wait(job_id, 0, task),
        lambda job_id, task: client.retry(job_id, 0, task),
    ):
        with pytest.raises(IdTaken):
            ask("order-42", "parcel")
    assert pipeline.record(theirs.id) == before


@pytest.mark.parametrize(
    "job_id", ["", "x" * 129, "a b", "a@", "@b", "a@b@c", "x" * 5_000, "key#work#k", "\x1b[2J", 7, None]
)
def test_what_is_no_id_is_one_clear_error(pipeline, job_id):
    pipeline.store.calls.clear()
    client = pipeline.client
    for ask in (client.job, client.cancel, client.handle, client.wait, lambda each: client.retry(each, 0)):
        with pytest.raises(UnknownJob, match=r"no job .*: an id has 1 to 128 of letters") as told:
            ask(job_id)
        assert len(str(told.value)) < 300
    assert not pipeline.store.calls


def test_the_record_of_a_message_that_names_another_tasks_job_is_shown_and_not_retried(pipeline, theirs):
    pipeline.send('{"id": "order-42", "payload": {"number": 2}}', "parcel")
    pipeline.run_until_idle()
    assert pipeline.client.job("order-42@parcel").state is State.FAILED
    began_at = pipeline.clock.now()
    with pytest.raises(WrongState, match="its message names a job id of another task; enqueue it anew"):
        pipeline.client.retry("order-42@parcel")
    assert pipeline.clock.now() == began_at
