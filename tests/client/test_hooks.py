"""Hooks of a producer: what they are told of each job that is enqueued, or could not be."""

from __future__ import annotations

from typing import Any

import pytest

from offload import Hooks, PartlyEnqueued, Refused, Retry, State, Unavailable, UnknownTask, WrongCalls, task
from offload.core.enqueueing.options import CheckedOptions
from offload.core.enqueueing.request import EnqueueRequest
from tests.runtime.interference import THROTTLED
from tests.runtime.scripted_task import ScriptedTask

# One job


def test_enqueueing_calls_a_hook_before_and_after(deploy, recorder):
    work = ScriptedTask()
    deploy(work)

    job = work.options(tenant="acme").delay("a")

    assert recorder.calls == ["before_enqueue", "after_enqueue"]
    (before,), (after, handle, error) = recorder.arguments
    assert (before.task, before.payload, before.options.tenant) == ("work", {"name": "a"}, "acme")
    assert after is before
    assert (handle, error) == (job, None)


def test_a_hook_before_enqueueing_is_called_before_anything_is_sent(deploy, register):
    pipeline = deploy(work := ScriptedTask())
    sent = []

    class Looks(Hooks):
        def before_enqueue(self, request):
            sent.append(len(pipeline.waiting()))

        def after_enqueue(self, request, handle, error):
            sent.append((len(pipeline.waiting()), handle.status()))

    register(Looks())
    work.delay("a")

    assert sent == [0, (1, State.PENDING)]


def test_a_job_that_an_idempotency_key_names_is_told_from_a_new_one(deploy, recorder):
    work = ScriptedTask()
    deploy(work)

    for _ in range(2):
        work.options(key="k").delay("a")

    first, second = [handle for _, handle, _ in recorder.of("after_enqueue")]
    assert (first.created, second.created) == (True, False)
    assert second.id == first.id


@pytest.mark.parametrize(
    ("name", "error"),
    [("work", Unavailable), ("work", Refused), ("wrok", UnknownTask)],
    ids=["unavailable", "refused", "unknown"],
)
def test_a_job_that_could_not_be_enqueued_is_told_with_its_error(deploy, recorder, name, error):
    pipeline = deploy(ScriptedTask())

    pipeline.queues.fail("send", error("of the queue"))
    with pytest.raises(error) as raised:
        pipeline.client.send(EnqueueRequest(name, {"name": "a"}, CheckedOptions()))

    (request,) = recorder.of("before_enqueue")[0]
    assert recorder.of("after_enqueue") == [(request, None, raised.value)]


# Many jobs


def test_of_many_jobs_each_is_told_with_its_own_outcome(deploy, recorder):
    work = ScriptedTask()
    pipeline = deploy(work)
    send_batch = pipeline.queues.port.send_batch

    def refuse_the_second(queue, messages):
        answers = send_batch(queue, messages)
        answers[1] = THROTTLED
        return answers

    pipeline.queues.port.send_batch = refuse_the_second
    with pytest.raises(PartlyEnqueued) as partly:
        work.delay_many(["a", "b", "c"])

    assert recorder.calls == ["before_enqueue"] * 3 + ["after_enqueue"] * 3
    requests = [request for (request,) in recorder.of("before_enqueue")]
    assert [request.payload["name"] for request in requests] == ["a", "b", "c"]
    first, _, third = partly.value.handles
    # A job that was not taken is told at once, the others once they are recorded.
    assert recorder.of("after_enqueue") == [
        (requests[1], None, THROTTLED),
        (requests[0], first, None),
        (requests[2], third, None),
    ]


def test_many_jobs_whose_sending_is_interrupted_are_each_told_with_the_error(deploy, recorder):
    work = ScriptedTask()
    pipeline = deploy(work)
    interrupted = KeyboardInterrupt()

    pipeline.queues.fail("send_batch", interrupted, skip=1)
    with pytest.raises(KeyboardInterrupt):
        work.delay_many([str(number) for number in range(20)])

    requests = [request for (request,) in recorder.of("before_enqueue")]
    told = recorder.of("after_enqueue")
    assert len(requests) == 20
    assert {id(request) for request, _, _ in told} == {id(request) for request in requests}
    assert {(handle, error) for _, handle, error in told} == {(None, interrupted)}


def test_wrong_calls_are_told_to_no_hook(deploy, recorder):
    work = ScriptedTask()
    deploy(work)
    with pytest.raises(WrongCalls):
        work.delay_many(["a", {"nmae": "b"}])
    assert not recorder.calls


# Jobs that a worker enqueues


def test_a_job_enqueued_inside_a_task_is_told_while_that_task_is_the_current_job(deploy, recorder):
    work = ScriptedTask(retry=Retry(max_attempts=1))
    pipeline = deploy(work)
    work.on_run(1, lambda: work.delay("child"), of="parent")
    parent = work.delay("parent")

    pipeline.run_until_idle()

    assert recorder.calls[2:8] == [
        "process_started", "before_run", "before_enqueue", "after_enqueue", "after_run", "invocation_ended"
    ]  # fmt: skip
    assert [None if job is None else job.id for job in recorder.jobs[:6]] == [
        None, None, None, parent.id, parent.id, parent.id
    ]  # fmt: skip
    _, child, _ = recorder.of("after_enqueue")[1]
    assert child.record().parent == parent.id


def test_a_follow_up_is_told_when_the_worker_enqueues_it(deploy, recorder):
    @task(on_success="cheer")
    def first() -> None: ...

    @task
    def cheer(job: dict[str, Any]) -> None: ...

    pipeline = deploy(first, cheer)
    job = first.delay()
    pipeline.run_until_idle()

    request, handle, error = recorder.of("after_enqueue")[1]
    assert (request.task, request.parent, error) == ("cheer", job.id, None)
    assert handle.status() is State.SUCCEEDED
