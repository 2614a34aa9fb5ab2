"""Two calls of one bulk with the same id or key: equal ones are one job, others are told before anything is sent."""

from __future__ import annotations

import sqlite3
import tracemalloc
from datetime import timedelta

import pytest

from offload import PartlyEnqueued, Refused, Unavailable, WrongCalls
from offload.client import named_calls
from offload.client.named_calls import NamedCalls
from offload.core.enqueueing.bulk import IdPrefix
from offload.core.enqueueing.options import CheckedOptions
from offload.core.enqueueing.request import EnqueueRequest
from tests.client.receipts import send


@pytest.fixture
def pipeline(deploy):
    return deploy(send)


def call(to, **options):
    return send.options(**options).si(to)


def ran(pipeline):
    pipeline.run_until_idle()
    return sorted(run.job_id for run in pipeline.runs)


@pytest.mark.parametrize("apart", [0, 150])
@pytest.mark.parametrize(
    "options", [{"id": "mine"}, {"key": "k"}, {"id": "mine", "key": "k"}, {"key": "k", "delay": "1h"}]
)
def test_equal_calls_are_one_job_that_is_sent_once(pipeline, options, apart):
    told = []
    calls = [call("a", **options), *(str(number) for number in range(apart)), call("a", **options)]
    jobs = send.delay_many(calls, progress=lambda *each: told.append(each))
    assert jobs[0].id == jobs[-1].id
    assert (jobs[0].created, jobs[-1].created) == (True, False)
    assert told[-1] == (len(calls), len(calls))
    assert len(pipeline.waiting()) + len(pipeline.timers.port.waiting()) == len(calls) - 1
    assert len(ran(pipeline)) == len(calls) - 1


WRONG = [
    ({"id": "mine"}, "b", {"id": "mine"}, "id='mine' is that of call 0, which differs"),
    ({"id": "mine"}, "a", {"id": "mine", "delay": "1h"}, "id='mine' is that of call 0, which differs"),
    ({"id": "mine"}, "a", {"id": "mine", "key": "k"}, "id='mine' is that of call 0, which differs"),
    ({"key": "k"}, "b", {"key": "k"}, "key='k' is that of call 0, which has other arguments"),
    ({"key": "k", "key_may_differ": True}, "b", {"key": "k"}, "key='k' is that of call 0, which has other arguments"),
    ({"id": "mine", "key": "k"}, "b", {"id": "yours", "key": "k"}, "key='k' is that of call 0"),
]


@pytest.mark.parametrize(("first", "to", "second", "said"), WRONG)
def test_calls_that_differ_are_told_and_nothing_is_sent(pipeline, first, to, second, said):
    with pytest.raises(WrongCalls) as wrong:
        send.delay_many([call("a", **first), "x", call(to, **second)])
    assert list(wrong.value.errors) == [2]
    assert said in str(wrong.value)
    assert not [*pipeline.queues.calls, *pipeline.store.calls]


def test_by_name_it_is_told_too(pipeline):
    with pytest.raises(WrongCalls, match="call 1: key='k' is that of call 0"):
        pipeline.client.enqueue_many("send", [({"to": "a"}, {"key": "k"}), ({"to": "b"}, {"key": "k"})])


def test_a_call_whose_arguments_may_differ_has_the_job_of_the_first(pipeline):
    jobs = send.delay_many([call("a", key="k"), call("b", key="k", key_may_differ=True), call("a", key="k", id="own")])
    assert [job.created for job in jobs] == [True, False, False]
    assert len({job.id for job in jobs}) == 1
    pipeline.run_until_idle()
    assert [job.result(0).to for job in jobs] == ["a"] * 3


def test_an_id_that_the_prefix_gives_to_another_call_is_told(pipeline):
    with pytest.raises(WrongCalls, match="call 0: id='q-1' is the id that the id prefix gives to call 1"):
        send.delay_many([call("a", id="q-1"), "b"], id_prefix="q")
    assert pipeline.waiting() == []
    assert [job.id for job in send.delay_many(["a", call("b", id="q-1")], id_prefix="q")] == ["q-0", "q-1"]


def test_a_call_has_no_job_when_the_call_that_it_repeats_has_none(pipeline):
    pipeline.queues.port.send_batch = lambda _queue, each: [Unavailable("throttled")] * len(each)
    with pytest.raises(PartlyEnqueued) as partly:
        send.delay_many([call("a", id="mine"), call("a", id="mine")])
    assert {index: str(error) for index, error in partly.value.failures.items()} == {0: "throttled", 1: "throttled"}
    assert partly.value.ids == {0: "mine", 1: "mine"}
    assert list(partly.value.handles) == [None, None]


def test_a_failure_that_is_not_kept_is_told_in_words_of_its_own(pipeline, monkeypatch):
    monkeypatch.setattr("offload.client.shipment.MOST_KEPT", 2)
    pipeline.queues.port.send_batch = lambda _queue, each: [Unavailable("throttled")] * len(each)
    with pytest.raises(PartlyEnqueued) as partly:
        send.delay_many([call("a", key="k"), *"bcd", call("a", key="k")])
    assert (partly.value.failed, len(partly.value.failures)) == (5, 2)


def test_hooks_hear_of_each_call(pipeline, recorder):
    send.delay_many([call("a", key="k"), call("a", key="k")])
    (_, first, _), (_, second, _) = recorder.of("after_enqueue")
    assert (first.id, first.created, second.created) == (second.id, True, False)
    assert len(recorder.of("before_enqueue")) == 2


def test_calls_without_names_make_no_file():
    names = NamedCalls(IdPrefix("q"))
    for number in range(5):
        assert names.add(number, EnqueueRequest("send", {"to": "a"}, CheckedOptions(delay="1h"))) is None
    assert names._database is None
    names.close()


def test_options_of_the_same_meaning_in_the_same_words_are_equal():
    names = NamedCalls(IdPrefix("q"))
    options = CheckedOptions(id="a", delay=timedelta(hours=1))
    assert names.add(0, EnqueueRequest("send", {"to": {"x": 1, "y": 2}}, options)) is None
    assert names.add(1, EnqueueRequest("send", {"to": {"y": 2.0, "x": 1}}, options)) == 0
    names.close()


def test_names_need_no_memory():
    def most_memory(count):
        names = NamedCalls(IdPrefix("q"))
        tracemalloc.start()
        for number in range(count):
            names.add(number, EnqueueRequest("send", {"to": "a"}, CheckedOptions(key=f"key-{number}")))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        names.close()
        return most

    most_memory(100)
    assert most_memory(5_000) < most_memory(500) + 50_000


def test_a_full_disk_is_told(pipeline, monkeypatch):
    class Full:
        def executescript(self, _):
            raise sqlite3.OperationalError("database or disk is full")

        def close(self):
            pass

    monkeypatch.setattr(sqlite3, "connect", lambda *_, **__: Full())
    with pytest.raises(Refused, match="database or disk is full; set TMPDIR to a folder with room"):
        send.delay_many([call("a", key="k")])
    assert pipeline.waiting() == []
    assert named_calls.__doc__
