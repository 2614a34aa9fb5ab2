"""What a producer can rely on when it enqueues many jobs: all or nothing is wrong, and each failure is named."""

from __future__ import annotations

import asyncio
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import pytest

from offload import (
    DefinitionError,
    JobHandle,
    PartlyEnqueued,
    PayloadError,
    Refused,
    State,
    Unavailable,
    UnknownTask,
    WrongCalls,
    task,
)
from offload.client import spool
from offload.client.shipment import MOST_FAILED_REQUESTS
from offload.core.errors import IdTaken
from offload.core.messages.message import Message
from tests.client.receipts import send

THROTTLED = Unavailable("throttled")


@pytest.fixture
def pipeline(deploy):
    return deploy(send)


def numbers(count):
    return [{"to": str(number)} for number in range(count)]


def messages(pipeline):
    """The messages that were sent, in order."""
    bodies = [message.body for _, message in pipeline.queues.called("send")]
    bodies += [message.body for _, each in pipeline.queues.called("send_batch") for message in each]
    bodies += [body for _, _, body, _ in pipeline.timers.called("send_at")]
    return [Message.decode(body) for body in bodies]


def sent_to(pipeline):
    return [message.payload["to"] for message in messages(pipeline)]


# Every job


def test_each_call_has_a_job_of_its_own_in_the_order_of_the_calls(pipeline):
    jobs = send.delay_many(numbers(25))
    assert len({job.id for job in jobs}) == len(jobs) == 25
    pipeline.drain()

    assert [job.result(0).to for job in jobs] == [str(number) for number in range(25)]
    assert (jobs[-1], jobs[2:4]) == (jobs[24], [jobs[2], jobs[3]])
    for beyond in (25, -26):
        with pytest.raises(IndexError, match=f"there are 25 jobs, and no job {beyond}"):
            jobs[beyond]
    assert list(send.delay_many([])) == []


def test_a_job_costs_a_tenth_of_a_send_and_a_twentyfifth_of_a_write(pipeline):
    send.delay_many(numbers(100))
    assert [name for name, _ in pipeline.queues.calls] == ["send_batch"] * 10
    assert [name for name, _ in pipeline.store.calls] == ["apply_many"] * 4
    assert [len(writes) for (writes,) in pipeline.store.called("apply_many")] == [25] * 4


def test_jobs_with_options_of_their_own_go_to_several_queues_and_times(pipeline):
    jobs = send.options(delay="5m", tenant="acme").delay_many(
        [
            {"to": "a"},
            send.options(priority="high", delay=0).si("b"),
            send.options(delay="1h").si(to="c"),
            send.options(key="k", eta="2020-01-01T00:00:00Z").si("d"),
            send.options(id="mine").si("e"),
        ]
    )

    assert [job.status() for job in jobs] == [
        State.SCHEDULED, State.PENDING, State.SCHEDULED, State.PENDING, State.SCHEDULED
    ]  # fmt: skip
    assert jobs[4].id == "mine"
    assert {job.record().tenant for job in jobs} == {"acme"}
    pipeline.run_until_idle()
    assert [job.result(0).to for job in jobs] == list("abcde")


def test_payloads_of_any_size(pipeline):
    jobs = send.delay_many(["a" * size for size in (10, 150_000, 150_000, 150_000, 300_000, 150_000, 150_000, 150_000)])
    sizes = [sum(len(each.body) for each in batch) for _, batch in pipeline.queues.called("send_batch")]
    assert all(size <= 1_048_576 for size in sizes)
    assert len(pipeline.blobs.called("put")) == 1
    pipeline.run_until_idle()
    assert [len(job.result(0).to) for job in jobs] == [10, *[150_000] * 3, 300_000, *[150_000] * 3]


def test_a_task_is_enqueued_by_name_with_options_for_each_entry(pipeline):
    jobs = pipeline.client.enqueue_many(
        "send", [{"to": "a"}, ({"to": "b"}, {"key": "k"}), ({"to": "c"}, {"id": "mine"})], tenant="acme"
    )
    again = pipeline.client.enqueue_many("send", [({"to": "b"}, {"key": "k"})])
    assert (again[0].id, again[0].created) == (jobs[1].id, False)
    assert [job.created for job in jobs] == [True] * 3
    pipeline.drain()
    assert [job.result(0)["to"] for job in jobs] == list("abc")
    assert {job.record().tenant for job in jobs} == {"acme"}


def test_a_task_that_enqueues_many_is_their_parent(deploy):
    @task
    def spread(count: int) -> list[str]:
        return [job.id for job in send.delay_many([str(number) for number in range(count)])]

    pipeline = deploy(spread, send)
    parent = spread.delay(12)
    pipeline.run_until_idle()
    children = [pipeline.job(job_id) for job_id in parent.result(0)]
    assert {child.parent for child in children} == {parent.id}
    assert {message.hops for message in messages(pipeline) if message.task == "send"} == {1}


def test_progress_is_told_up_to_the_last_job(pipeline):
    told = []
    send.delay_many(numbers(33), progress=lambda done, total: told.append((done, total)))
    assert told[0] == (0, 33)
    assert told[-1] == (33, 33)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_progress_that_raises_ends_the_work(pipeline):
    def enough(done, total):
        if done >= 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        send.delay_many(numbers(1_000), progress=enough)
    assert len(pipeline.waiting()) < 100


def test_ten_thousand_jobs_need_no_more_memory_than_a_thousand(pipeline, monkeypatch):
    """The twins keep what they are sent, so they are replaced by ports that answer and forget."""
    monkeypatch.setattr(spool, "_IN_MEMORY", 10_000)
    monkeypatch.setattr(pipeline.queues, "send_batch", lambda _queue, each: ["id"] * len(each), raising=False)
    monkeypatch.setattr(pipeline.store, "apply_many", lambda each: [{}] * len(each), raising=False)

    def most_memory(count):
        tracemalloc.start()
        jobs = send.delay_many({"to": str(number) * 20} for number in range(count))
        kept, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert len(jobs) == count
        return kept, most

    most_memory(100)
    (kept_few, few), (kept_many, many) = most_memory(1_000), most_memory(10_000)
    assert many < few + 200_000
    assert kept_many < kept_few + 50_000


async def _enqueue(**options):
    return await send.options(**options).adelay_many(numbers(12), id_prefix="a")


def test_async_code_enqueues_many(pipeline):
    jobs = asyncio.run(_enqueue(tenant="acme"))
    assert [job.id for job in jobs] == [f"a-{number}" for number in range(12)]
    by_name = asyncio.run(pipeline.client.aenqueue_many("send", numbers(3), id_prefix="b"))
    assert [job.id for job in by_name] == ["b-0", "b-1", "b-2"]
    assert len(pipeline.waiting()) == 15


def test_async_code_that_is_cancelled_stops_enqueueing(pipeline):
    began, go_on = asyncio.Event(), threading.Event()
    loop = None
    send_batch = pipeline.queues.port.send_batch

    def wait_and_send(queue, each):
        loop.call_soon_threadsafe(began.set)
        assert go_on.wait(10)
        return send_batch(queue, each)

    pipeline.queues.port.send_batch = wait_and_send

    async def cancelled():
        nonlocal loop
        loop = asyncio.get_running_loop()
        work = asyncio.create_task(send.adelay_many(numbers(500)))
        await began.wait()
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        go_on.set()

    asyncio.run(cancelled())
    end_threads()
    assert len(pipeline.waiting()) <= 10


def end_threads():
    """Wait for the threads in which many jobs are enqueued."""
    for thread in threading.enumerate():
        if thread.name == "offload-many":
            thread.join(10)
            assert not thread.is_alive()


def test_async_code_that_is_cancelled_reads_no_further_calls(pipeline):
    first, go_on, read = threading.Event(), threading.Event(), []

    def calls():
        for number in range(100):
            read.append(number)
            yield str(number)
            first.set()
            assert go_on.wait(10)

    async def cancelled():
        work = asyncio.create_task(send.adelay_many(calls()))
        await asyncio.to_thread(first.wait)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work

    asyncio.run(cancelled())  # does not wait for the calls, which are not read to their end yet
    go_on.set()
    end_threads()
    assert read in ([0], [0, 1])
    assert pipeline.waiting() == []


def test_async_code_takes_none_of_the_programs_threads(pipeline):
    async def enqueue():
        go_on = threading.Event()
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(1))
        busy = asyncio.create_task(asyncio.to_thread(go_on.wait))
        await asyncio.sleep(0)
        try:
            return await asyncio.wait_for(send.adelay_many(numbers(2)), 10)
        finally:
            go_on.set()
            await busy

    assert len(asyncio.run(enqueue())) == 2
    assert len(pipeline.waiting()) == 2


def test_async_code_is_told_whatever_ends_the_work(pipeline):
    def progress(_, __):
        raise StopIteration

    async def enqueue():
        await asyncio.wait_for(send.adelay_many(numbers(2), progress=progress), 10)

    with pytest.raises(RuntimeError, match="StopIteration"):
        asyncio.run(enqueue())
    assert pipeline.waiting() == []


# Wrong calls


@pytest.mark.parametrize("first", [{}, {"delay": "1h"}, {"key": "k"}], ids=["plain", "delay", "key"])
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (({"x": object()}, {}), "cannot be written as JSON"),
        (({"to": float("nan")}, {}), "to: Input should be a valid string"),
        (({"to": "b"}, {"priority": "x"}), "priority='x': task 'send' has the lanes default, high"),
        (({}, {"dely": "1h"}), "unknown option 'dely'"),
        (({"to": "b"}, {"eta": "2200-01-01T00:00:00Z"}), "more than 365 days ahead"),
        (([], {}), "payload must be an object"),
    ],
    ids=["object", "nan", "lane", "option", "eta", "kind"],
)
def test_nothing_is_sent_when_one_call_is_wrong(pipeline, wrong, said, first):
    with pytest.raises(WrongCalls, match="1 of 3 calls is wrong, so nothing was enqueued:\n  call 1: ") as refused:
        pipeline.client.enqueue_many("send", [({"to": "a"}, first), wrong, {"to": "b"}])

    assert said in str(refused.value)
    assert not [*pipeline.queues.calls, *pipeline.store.calls, *pipeline.timers.calls]


def test_an_unknown_task_is_refused_before_a_call_is_read(pipeline):
    with pytest.raises(UnknownTask):
        pipeline.client.enqueue_many("wrok", (pytest.fail("it was read") for _ in range(1)))


def test_every_wrong_call_is_named_by_its_index_up_to_twenty(pipeline):
    with pytest.raises(WrongCalls) as refused:
        send.delay_many({"to": "a"} if number % 4 else {"to": number, "nmber": 5} for number in range(100))
    assert list(refused.value.errors) == list(range(0, 80, 4))
    assert refused.value.count == 25
    lines = str(refused.value).splitlines()
    assert lines[0] == "25 of 100 calls are wrong, so nothing was enqueued:"
    assert lines[2].startswith("  call 4: send: ")
    assert "nmber" in lines[2]
    assert lines[-1] == "  and 5 more"
    assert isinstance(refused.value, PayloadError)


def test_a_call_that_is_refused_where_it_is_made_is_named_too(pipeline):
    calls = (send.options(delay="soon" if number == 3 else "5m").si("a") for number in range(5))
    with pytest.raises(WrongCalls, match="call 3: delay='soon' is not a duration"):
        send.delay_many(calls)
    assert pipeline.waiting() == []


def test_a_call_of_another_task_is_wrong(deploy):
    @task
    def other(to: str) -> None: ...

    deploy(send, other)
    with pytest.raises(WrongCalls, match="call 1: the call is of task 'other', not of 'send'"):
        send.delay_many([send.si("a"), other.si("b")])


@pytest.mark.parametrize("options", [{"id": "a"}, {"key": "k"}])
def test_many_jobs_cannot_share_an_id(pipeline, options):
    (name,) = options
    with pytest.raises(DefinitionError, match=rf"{name} names one job: .* task.options\({name}=...\).si\(...\)"):
        send.options(**options).delay_many([{"to": "a"}])


def test_a_full_disk_is_told_before_anything_is_sent(pipeline, monkeypatch):
    class Full:
        def write(self, _text):
            raise OSError(28, "No space left on device")

        def close(self):
            pass

    monkeypatch.setattr(spool.tempfile, "SpooledTemporaryFile", lambda **_: Full())
    with pytest.raises(Refused, match="No space left on device; set TMPDIR to a folder with room"):
        send.delay_many(["a"])
    assert pipeline.waiting() == []


# Failures


def refuse(pipeline, *refused):
    """Have the queue refuse the messages to some receivers."""
    send_batch = pipeline.queues.port.send_batch

    def refuse_some(queue, each):
        wanted = [message for message in each if Message.decode(message.body).payload["to"] not in refused]
        answers = iter(send_batch(queue, wanted))
        return [next(answers) if message in wanted else THROTTLED for message in each]

    pipeline.queues.port.send_batch = refuse_some
    return lambda: setattr(pipeline.queues.port, "send_batch", send_batch)


def test_jobs_that_the_queue_did_not_take_are_named_and_have_no_record(pipeline):
    refuse(pipeline, "1", "3")
    with pytest.raises(
        PartlyEnqueued, match="2 of 4 jobs were not enqueued, as far as is known; the first, call 1: throttled"
    ) as partly:
        send.delay_many(numbers(4))

    assert [handle is None for handle in partly.value.handles] == [False, True, False, True]
    assert list(partly.value.failures) == list(partly.value.ids) == [1, 3]
    assert partly.value.failed == 2
    assert partly.value.handles[0].status() is State.PENDING
    assert len(pipeline.store.items()) == 2
    assert partly.value.id_prefix not in str(partly.value)


def test_the_same_calls_under_the_same_prefix_send_what_is_missing(pipeline):
    cure = refuse(pipeline, "1", "3", "17")
    with pytest.raises(PartlyEnqueued) as partly:
        send.delay_many(numbers(20))
    cure()
    pipeline.queues.calls.clear()

    jobs = send.delay_many(numbers(20), id_prefix=partly.value.id_prefix)

    assert sent_to(pipeline) == ["1", "3", "17"]
    assert [number for number, job in enumerate(jobs) if job.created] == [1, 3, 17]
    assert partly.value.ids == {number: jobs[number].id for number in (1, 3, 17)}
    pipeline.run_until_idle()
    assert [job.result(0).to for job in jobs] == [str(number) for number in range(20)]
    assert len(pipeline.runs) == 20


def test_a_job_that_failed_can_be_enqueued_alone_under_its_id(pipeline):
    cure = refuse(pipeline, "1")
    with pytest.raises(PartlyEnqueued) as partly:
        send.delay_many(numbers(3))
    cure()
    assert send.options(id=partly.value.ids[1]).delay("1").created
    assert not send.delay_many(numbers(3), id_prefix=partly.value.id_prefix)[1].created


def test_one_job_whose_timer_does_not_answer_does_not_stop_the_others(pipeline):
    pipeline.timers.fail("send_at", THROTTLED)
    with pytest.raises(PartlyEnqueued) as partly:
        send.delay_many([send.options(delay="1h").si("a"), "b"])
    assert list(partly.value.failures) == [0]
    assert partly.value.handles[1] is not None


def test_one_payload_that_the_bucket_does_not_take_does_not_stop_the_others(pipeline):
    pipeline.blobs.fail("put", THROTTLED)
    with pytest.raises(PartlyEnqueued) as partly:
        send.delay_many(["a" * 300_000, "b"])
    assert list(partly.value.failures) == [0]


def test_a_queue_that_is_out_is_not_asked_a_hundred_times(pipeline):
    pipeline.queues.port.send_batch = lambda _queue, each: [THROTTLED] * len(each)
    with pytest.raises(PartlyEnqueued) as partly:
        send.delay_many(numbers(1_000))
    assert len(pipeline.queues.called("send_batch")) == MOST_FAILED_REQUESTS
    assert partly.value.failed == 1_000
    assert len(partly.value.failures) == 100
    assert set(partly.value.handles) == {None}


def test_a_queue_that_fails_now_and_then_is_not_out(pipeline):
    send_batch, requests = pipeline.queues.port.send_batch, []

    def fail_every_second(queue, each):
        requests.append(each)
        return [THROTTLED] * len(each) if len(requests) % 2 else send_batch(queue, each)

    pipeline.queues.port.send_batch = fail_every_second
    with pytest.raises(PartlyEnqueued) as partly:
        send.delay_many(numbers(20 * (MOST_FAILED_REQUESTS + 2)))
    assert partly.value.failed == 10 * (MOST_FAILED_REQUESTS + 2)
    assert len(pipeline.waiting()) == 10 * (MOST_FAILED_REQUESTS + 2)


def test_a_queue_that_takes_some_of_each_request_is_not_out(pipeline):
    refuse(pipeline, *(str(number) for number in range(200) if number % 10))
    with pytest.raises(PartlyEnqueued) as partly:
        send.delay_many(numbers(200))
    assert partly.value.failed == 180


def test_a_record_that_cannot_be_written_is_left_to_the_worker(pipeline, caplog):
    pipeline.store.fail("apply_many", THROTTLED)
    jobs = send.delay_many(numbers(30))
    assert "25 of 25 records of enqueued jobs are left to their workers: throttled" in caplog.text
    assert len(pipeline.store.items()) == 5
    assert jobs[0].status() is State.PENDING
    pipeline.run_until_idle()
    assert len(pipeline.runs) == 30


# Ids


def test_ids_come_from_the_prefix(pipeline):
    jobs = send.delay_many(numbers(3), id_prefix="import-7")
    assert [job.id for job in jobs] == ["import-7-0", "import-7-1", "import-7-2"]
    assert jobs.id_prefix == "import-7"


def test_a_drawn_prefix_keeps_a_secret_that_no_id_shows(pipeline):
    first, second = send.delay_many(numbers(2)), send.delay_many(numbers(2))
    ids = {job.id for job in [*first, *second]}
    assert len(ids) == 4
    prefix, secret = first.id_prefix.split("/")
    assert all(job.id.startswith(f"{prefix}-{number}-") for number, job in enumerate(first))
    assert not any(secret in job_id for job_id in ids)
    assert secret not in repr(first)
    assert [job.created for job in send.delay_many(numbers(2), id_prefix=first.id_prefix)] == [False, False]


def test_an_id_of_another_task_is_refused_before_anything_is_sent(deploy):
    @task
    def other(to: str) -> None: ...

    pipeline = deploy(send, other)
    other.options(id="mine-1").delay("x")
    pipeline.queues.calls.clear()
    with pytest.raises(PartlyEnqueued) as partly:
        send.delay_many(numbers(3), id_prefix="mine")
    assert isinstance(partly.value.failures[1], IdTaken)
    assert sent_to(pipeline) == ["0", "2"]


def test_an_id_that_another_task_takes_meanwhile_is_told(deploy):
    @task
    def other(to: str) -> None: ...

    pipeline = deploy(send, other)
    send_batch = pipeline.queues.port.send_batch

    def be_slower(queue, each):
        answers = send_batch(queue, each)
        other.options(id="mine-1").delay("x")
        return answers

    pipeline.queues.port.send_batch = be_slower
    with pytest.raises(PartlyEnqueued) as partly:
        send.delay_many(numbers(3), id_prefix="mine")
    assert isinstance(partly.value.failures[1], IdTaken)


def test_a_table_that_does_not_answer_the_look_sends_nothing_under_a_chosen_id(pipeline):
    pipeline.store.fail("get_many", THROTTLED)
    with pytest.raises(PartlyEnqueued) as partly:
        send.delay_many(["a", send.options(id="mine").si("b")])
    assert partly.value.failures == {1: THROTTLED}
    assert sent_to(pipeline) == ["a"]


# Keys


def test_keys_are_reserved_together_and_named_jobs_are_not_sent_again(pipeline):
    def calls():
        return (send.options(key=f"k{number}").si(str(number)) for number in range(20))

    first = send.delay_many(calls())
    assert [len(writes) for (writes,) in pipeline.store.called("apply_many")] == [10, 10, 24, 16]
    pipeline.queues.calls.clear()
    second = send.delay_many(calls())

    assert not pipeline.queues.calls
    assert [job.id for job in second] == [job.id for job in first]
    assert {job.created for job in second} == {False}
    pipeline.run_until_idle()
    assert len(pipeline.runs) == 20


def test_a_key_that_is_given_twice_names_one_job(pipeline):
    jobs = send.delay_many([send.options(key="k").si("a"), send.options(key="k").si("a"), "b"])
    assert jobs[0].id == jobs[1].id
    assert [job.created for job in jobs] == [True, False, True]
    pipeline.run_until_idle()
    assert len(pipeline.runs) == 2


def test_a_key_with_a_delay_or_a_large_payload(pipeline):
    calls = [send.options(key="k", delay="1h").si("a"), send.options(key="l").si("b" * 300_000)]
    jobs = send.delay_many(calls)
    assert [job.id for job in send.delay_many(calls)] == [job.id for job in jobs]
    assert len(messages(pipeline)) == 2


# Tracking


def test_jobs_that_are_tracked_from_their_start_have_no_record_before(pipeline):
    jobs = send.options(track="start").delay_many(numbers(10))
    assert not pipeline.store.calls
    assert [job.status() for job in jobs] == [State.PENDING] * 10
    pipeline.drain()
    assert [job.result(0).to for job in jobs] == [str(number) for number in range(10)]


def test_handles_are_of_the_task(pipeline):
    (job,) = send.delay_many(["a"])
    assert isinstance(job, JobHandle)
    assert job.task == "send"
