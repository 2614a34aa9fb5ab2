"""Two calls of one bulk with the same key: each has the outcome that the table of docs/tasks.md says."""

from __future__ import annotations

import pytest

from offload import IdTaken, KeyReused, PartlyEnqueued, Unavailable, WrongCalls, task
from tests.client.receipts import send
from tests.client.test_named_calls import call


@pytest.fixture
def pipeline(deploy):
    return deploy(send)


def outcomes(calls, **options):
    """Return for each call its job's id and whether it is new, or the kind of its error."""
    try:
        handles, failures = send.delay_many(calls, **options), {}
    except PartlyEnqueued as error:
        handles, failures = error.handles, error.failures
    return [
        (handle.id, handle.created) if handle is not None else type(failures[index])
        for index, handle in enumerate(handles)
    ]


@pytest.fixture
def others(pipeline):
    """The job of the key `k`, with other arguments than the calls of a test have."""
    return send.options(key="k").delay("other").id


def test_a_job_that_may_differ_is_no_answer_to_a_call_that_may_not(others):
    calls = [call("a", key="k", key_may_differ=True), call("a", key="k"), call("a", key="k", key_may_differ=True)]
    assert outcomes(calls) == [(others, False), KeyReused, (others, False)]


def test_a_call_that_may_differ_has_the_job_that_is_refused_to_an_earlier_one(others):
    calls = [call("a", key="k"), call("a", key="k", key_may_differ=True), call("a", key="k")]
    assert outcomes(calls) == [KeyReused, (others, False), KeyReused]


def test_a_call_does_not_fail_for_the_id_of_another(pipeline):
    send.options(id="taken").delay("other")
    calls = [call("a", key="k", id="taken"), call("a", key="k"), call("a", key="k")]
    first, second, third = outcomes(calls, id_prefix="q")
    assert (first, second, third) == (IdTaken, ("q-1", True), ("q-1", False))
    assert len(pipeline.waiting()) == 2
    assert outcomes(calls, id_prefix="q") == [("q-1", False)] * 3
    assert len(pipeline.waiting()) == 2


@pytest.mark.parametrize("options", [{"id": "theirs"}, {}])
def test_a_call_whose_own_id_another_task_has_is_refused(deploy, options):
    @task
    def other() -> None: ...

    deploy(send, other)
    other.options(id=options.get("id", "q-1")).delay()
    calls = [call("a", key="k"), call("a", key="k", **options)]
    assert outcomes(calls, id_prefix="q") == [("q-0", True), IdTaken]


def test_an_id_stays_that_of_its_call_where_the_key_has_the_job(pipeline):
    calls = [call("a", key="k"), call("a", key="k", id="mine")]
    with pytest.raises(WrongCalls, match="call 2: id='mine' is that of call 1, which differs"):
        send.delay_many([*calls, call("b", id="mine")])
    assert [created for _, created in outcomes([*calls, call("a", key="k", id="mine")])] == [True, False, False]


def test_an_outage_of_an_earlier_call_is_that_of_the_later(pipeline):
    pipeline.queues.port.send_batch = lambda _queue, each: [Unavailable("throttled")] * len(each)
    assert outcomes([call("a", key="k"), call("a", key="k")]) == [Unavailable, Unavailable]
    assert pipeline.waiting() == []


def test_hooks_hear_once_of_a_call_that_is_asked_for_itself(others, recorder):
    outcomes([call("a", key="k"), call("a", key="k", key_may_differ=True)])
    assert len(recorder.of("before_enqueue")) == 2
    (_, none, error), (_, handle, no_error) = recorder.of("after_enqueue")
    assert (none, type(error), handle.id, no_error) == (None, KeyReused, others, None)
