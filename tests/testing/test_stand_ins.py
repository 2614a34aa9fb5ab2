"""A program's own client, made at module level or later, speaks to the stack of the test while the test runs."""

from __future__ import annotations

import asyncio
import gc

import pytest

from offload import Client, Permanent, State, UnknownTask, enqueue, task, use
from offload.core.clock import SystemClock
from offload.core.enqueueing.producer import current_producer
from offload.testing import Eager, Pipeline, WaitsForEver

client = Client.from_stack()
other = Client.from_stack("billing")


class ShopClient(Client):
    """A client of a program's own kind."""

    def order(self, number):
        return self.enqueue("add", {"a": number, "b": self.extra})


shop = ShopClient.from_stack()
shop.extra = 10


@task
def add(a: int, b: int = 1) -> int:
    return a + b


@task
def fails() -> None:
    raise Permanent("no")


@task
def adds_more() -> int:
    return client.enqueue("add", {"a": 5}).result()


@pytest.fixture(autouse=True)
def _unchanged(monkeypatch):
    """A request that gets out is an error here, and never one of somebody's account."""
    from offload.client import client as module

    def gets_out(_stack, _known):
        raise AssertionError("it asked AWS")

    monkeypatch.setattr(module, "connect_to", gets_out)
    before = [(type(each), dict(vars(each))) for each in (client, other, shop)]
    yield
    assert [(type(each), dict(vars(each))) for each in (client, other, shop)] == before
    assert type(client) is Client
    assert isinstance(client.clock, SystemClock)
    with pytest.raises(AssertionError, match="it asked AWS"):
        client.enqueue("add", {"a": 1})


def test_it_runs_jobs_in_eager_by_name_in_bulk_and_from_async_code():
    with Eager(add, fails, adds_more) as eager:
        assert client.enqueue("add", {"a": 1}).result() == 2
        assert [job.result() for job in client.enqueue_many("add", [{"a": 1}, {"a": 2}])] == [2, 3]
        assert asyncio.run(client.aenqueue("add", {"a": 3})).result() == 4
        assert adds_more.delay().result() == 6
        with pytest.raises(Permanent):
            client.enqueue("fails", {})
        assert {job.task for job in eager.jobs} == {"add", "fails", "adds_more"}
        assert client.manifest is eager.manifest


def test_it_enqueues_to_the_pipeline():
    with Pipeline(add) as pipeline:
        job = client.enqueue("add", {"a": 1}, delay="1h")
        assert client.job(job.id).state is State.SCHEDULED
        with pytest.raises(WaitsForEver, match="run_until_idle"):
            client.wait(job.id)
        pipeline.run_until_idle()
        assert client.handle(job.id).result() == 2
        assert asyncio.run(client.await_(job.id)).state is State.SUCCEEDED
        assert client.clock is pipeline.clock


def test_the_client_of_another_stack_and_a_task_that_is_not_deployed():
    with Pipeline(add), pytest.raises(UnknownTask, match="task 'invoice' is not deployed in stack 'test'"):
        other.enqueue("invoice", {})


def test_a_client_that_is_made_meanwhile_is_none_of_the_test_afterwards():
    with Pipeline(add) as pipeline:
        made = Client.from_stack()
        use(made)
        made.enqueue("add", {"a": 1})
        add.delay(1)
        enqueue("add", {"a": 1})
        assert len(pipeline.waiting()) == 3
    assert type(made) is Client
    with pytest.raises(AssertionError, match="it asked AWS"):
        made.job("a")


def test_a_client_of_the_programs_own_class_keeps_what_it_adds():
    with Eager(add):
        assert shop.order(5).result() == 15
        assert isinstance(shop, ShopClient)
        assert ShopClient.from_stack().enqueue("add", {"a": 1}).result() == 2


def test_of_stacks_within_each_other_the_inner_one_counts_until_it_ends():
    with Pipeline(add) as outer:
        with Pipeline(add) as inner:
            client.enqueue("add", {"a": 1})
        client.enqueue("add", {"a": 1})
        client.enqueue("add", {"a": 1})
    assert (len(inner.waiting()), len(outer.waiting())) == (1, 2)


def test_a_producer_that_is_built_from_the_environment_is_one_too():
    use(None)
    early = current_producer()
    try:
        with Pipeline(add) as pipeline:
            early.enqueue("add", {"a": 1})
            assert len(pipeline.waiting()) == 1
        assert current_producer() is early
    finally:
        use(None)


@pytest.mark.parametrize("kind", [Pipeline, Eager])
def test_handles_of_a_test_that_is_over_ask_its_stack_and_no_other(kind):
    with kind(add) as stack:
        one, named = client.enqueue("add", {"a": 1}), shop.enqueue("add", {"a": 2})
        many = client.enqueue_many("add", [{"a": 3}, {"a": 4}])
        found = client.handle(one.id)
        stack.run_until_idle()
    assert [job.result() for job in (one, named, *many, found)] == [2, 3, 4, 5, 2]
    assert asyncio.run(one.aresult()) == 2


def test_a_wait_for_a_job_of_a_test_that_is_over_says_that_nothing_runs():
    with Pipeline(add):
        job = client.enqueue("add", {"a": 1})
    with pytest.raises(WaitsForEver, match="in a pipeline nothing runs"):
        job.result()


def test_clients_that_nobody_uses_are_let_go():
    from offload.client import stand_ins

    gc.collect()
    before = len(stand_ins._clients)
    with Pipeline(add):
        Client.from_stack()
    Client.from_stack()
    gc.collect()
    assert (len(stand_ins._clients), stand_ins._own, stand_ins._in_force) == (before, {}, [])
