"""What a producer can rely on when it enqueues many jobs: all or nothing is wrong, and each failure is named."""

from __future__ import annotations

import pytest

from offload import DefinitionError, PartlyEnqueued, PayloadError, State, Unavailable, UnknownTask
from offload.core.enqueueing.options import CheckedOptions
from offload.core.enqueueing.request import EnqueueRequest
from tests.client.receipts import send


@pytest.fixture
def pipeline(deploy):
    return deploy(send)


def request(to, **options):
    return EnqueueRequest("send", {"to": to}, CheckedOptions(**options))


def test_each_call_has_a_job_of_its_own_in_the_order_of_the_calls(pipeline):
    jobs = send.delay_many([{"to": str(number)} for number in range(25)])
    assert len({job.id for job in jobs}) == 25
    pipeline.drain()

    assert [job.result(0).to for job in jobs] == [str(number) for number in range(25)]
    assert send.delay_many([]) == []


def test_jobs_go_to_several_queues_and_times(pipeline):
    jobs = pipeline.client.send_many(
        [request("a"), request("b", priority="high"), request("c", delay="1h"), request("d", key="k"),
         request("e", delay="5m")]
    )  # fmt: skip

    assert [job.status() for job in jobs] == [
        State.PENDING, State.PENDING, State.SCHEDULED, State.PENDING, State.SCHEDULED
    ]  # fmt: skip
    pipeline.run_until_idle()
    assert [job.result(0)["to"] for job in jobs] == list("abcde")


def test_jobs_that_the_queue_did_not_take_are_named_and_have_no_record(pipeline):
    send_batch = pipeline.queues.port.send_batch

    def refuse_some(queue, messages):
        answers = send_batch(queue, messages)
        return [Unavailable("throttled") if index in (1, 3) else answer for index, answer in enumerate(answers)]

    pipeline.queues.port.send_batch = refuse_some
    with pytest.raises(
        PartlyEnqueued, match="2 of 4 jobs were not enqueued, as far as is known; the first, call 1: throttled"
    ) as partly:
        send.delay_many([{"to": str(number)} for number in range(4)])

    assert [handle is None for handle in partly.value.handles] == [False, True, False, True]
    assert list(partly.value.failures) == [1, 3]
    assert list(partly.value.ids) == [1, 3]
    assert partly.value.handles[0].status() is State.PENDING
    assert len(pipeline.store.items()) == 2


def test_one_job_whose_timer_does_not_answer_does_not_stop_the_others(pipeline):
    pipeline.timers.fail("send_at", Unavailable("throttled"))

    with pytest.raises(PartlyEnqueued) as partly:
        pipeline.client.send_many([request("a", delay="1h"), request("b")])

    assert list(partly.value.failures) == [0]
    assert partly.value.handles[1] is not None


@pytest.mark.parametrize(
    "wrong",
    [
        EnqueueRequest("wrok", {}, CheckedOptions()),
        EnqueueRequest("send", {"x": object()}, CheckedOptions()),
        EnqueueRequest("send", {}, CheckedOptions(priority="x")),
    ],
    ids=["task", "payload", "lane"],
)
@pytest.mark.parametrize("first", [{}, {"delay": "1h"}, {"key": "k"}], ids=["plain", "delay", "key"])
def test_nothing_is_sent_when_one_request_is_wrong(pipeline, wrong, first):
    with pytest.raises((UnknownTask, PayloadError, DefinitionError)):
        pipeline.client.send_many([request("a", **first), wrong])

    assert pipeline.waiting() == pipeline.store.items() == []
    assert pipeline.timers.waiting() == {}
