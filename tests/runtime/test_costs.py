"""What a job costs: the requests of the usual case."""

from __future__ import annotations

import json
import urllib.request

import pytest

from offload import RateLimit, Retry, State
from offload.core.jobs.fingerprint import fingerprint
from tests.runtime.scripted_task import ScriptedTask, fail

WRITE_UNIT = 1024
"""Bytes of an item that one write unit pays for."""


def writes(pipeline):
    return [write for (write,) in pipeline.store.called("apply")]


@pytest.mark.parametrize(("bare", "expected"), [(True, 2), (False, 3)])
def test_a_job_that_succeeds_at_once_costs_no_more_writes(deploy, bare, expected):
    work = ScriptedTask()
    pipeline = deploy(work)

    if bare:
        pipeline.send('{"payload": {}}')
    else:
        work.delay()
    pipeline.drain()

    assert len(writes(pipeline)) == expected
    assert pipeline.store.called("get") == pipeline.store.called("find") == []
    assert not any("idx" in {*write.set, *write.default} for write in writes(pipeline))
    (record,) = pipeline.store.items()
    assert "idx" not in record
    assert len(json.dumps(record)) < WRITE_UNIT


def test_a_duplicate_costs_one_write(deploy):
    pipeline = deploy(ScriptedTask())

    pipeline.send('{"id": "a", "payload": {}}')
    pipeline.send('{"id": "a", "payload": {}}')
    pipeline.drain()

    assert len(writes(pipeline)) == 3


def test_many_jobs_cost_the_client_a_request_for_ten_messages_and_one_for_25_records(deploy):
    work = ScriptedTask()
    pipeline = deploy(work)

    work.delay_many([{}] * 50)

    assert len(pipeline.queues.called("send_batch")) == 5
    assert [len(records) for (records,) in pipeline.store.called("apply_many")] == [25, 25]
    assert len(pipeline.queues.calls) + len(pipeline.store.calls) == 7


@pytest.mark.parametrize("many", [False, True])
def test_a_job_that_is_tracked_from_its_start_costs_one_request_and_then_two_writes(deploy, many):
    work = ScriptedTask()
    pipeline = deploy(work)

    if many:
        work.options(track="start").delay_many([{}])
    else:
        work.options(track="start").delay()
    assert len(pipeline.queues.calls) == 1
    assert not pipeline.store.calls
    pipeline.drain()

    assert len(writes(pipeline)) == 2
    assert len(pipeline.runs) == 1


@pytest.mark.parametrize(("bare", "receives"), [(False, 3), (True, 4)])
def test_a_failed_job_costs_a_refused_write_for_each_further_receive_and_two_reads(deploy, bare, receives):
    work = ScriptedTask(retry=Retry(max_attempts=1))
    pipeline = deploy(work)
    work.on_every_run(fail)
    if bare:
        pipeline.send('{"payload": {}}')
    else:
        work.delay()
    pipeline.poll()
    assert len(work.runs) == 1
    pipeline.queues.calls.clear()
    pipeline.store.calls.clear()
    before = len(writes(pipeline))

    pipeline.run_until_idle()

    received = [entry for entry in pipeline.trace if entry.kind == "invoke"][1:]
    assert len(received) == receives
    assert len(writes(pipeline)) - before == receives + bare  # the copy that names the job is noted in the record
    assert len(pipeline.store.called("get")) == 2
    assert len(pipeline.dead()) == 1


@pytest.mark.parametrize(("position", "wrote", "looks"), [(1, 3, 2), (5, 3, 2), (60, 5, 8)])
def test_what_a_job_in_the_line_of_a_rate_limit_costs(deploy, position, wrote, looks):
    """A place is two writes; a number in the rear of the line before that two more; and a slot is one."""
    work = ScriptedTask(rate_limit=RateLimit("10/m"), batch_size=10)
    pipeline = deploy(work)
    jobs = list(work.delay_many([{}] * (position + 1)))
    own = jobs[position].id

    pipeline.run_until_idle()

    noted = [write for write in writes(pipeline) if write.id == own and {"place_at", "line_number"} & set(write.set)]
    item = [write for write in writes(pipeline) if write.id == "rate#work"]
    read = [key for (key,) in pipeline.store.called("get") if key == own]
    assert len(noted) <= wrote // 2
    assert len(item) <= (position + 1) * (1 + wrote // 2)
    assert len(read) <= looks


def calls(depth):
    """Raise from as deep in the code as an SDK does, with the error that it was made of."""
    if depth:
        return calls_again(depth)
    try:
        urllib.request.urlopen("http://127.0.0.1:9/", timeout=1)
    except OSError as error:
        raise RuntimeError("the order 4711 could not be charged: the bank does not answer") from error
    raise AssertionError("nobody listens at port 9")


def calls_again(depth):
    return calls(depth - 1)


def size(value):
    """The bytes that DynamoDB counts of a value, or of an item."""
    match value:
        case dict():
            return 3 + sum(len(name.encode()) + size(each) + 1 for name, each in value.items())
        case list() | tuple():
            return 3 + sum(size(each) + 1 for each in value)
        case str():
            return len(value.encode())
        case bool() | None:
            return 1
        case _:
            return (len(str(value)) + 1) // 2 + 1


def test_an_ordinary_long_traceback_makes_a_retry_cost_two_units_more_and_the_success_one(deploy):
    work = ScriptedTask(retry=Retry(max_attempts=4))
    pipeline = deploy(work)
    for number in (1, 2, 3):
        work.on_run(number, lambda: calls(8))
    units = []

    def meter(write, before, after):
        larger = max(size(before or {}), size(after))
        moves = (before or {}).get("idx") != after.get("idx")
        units.append((after["state"], -(-larger // WRITE_UNIT) + moves))

    pipeline.store.port.on_applied = meter
    work.delay()
    pipeline.run_until_idle()

    retry = [("RETRYING", 3), ("RUNNING", 3)]  # four units with a short one, see docs/architecture.md
    assert units == [("PENDING", 1), ("RUNNING", 1), *retry * 3, ("SUCCEEDED", 2)]


def test_the_end_that_stays_has_the_whole_traceback(deploy):
    work = ScriptedTask(retry=Retry(max_attempts=2))
    pipeline = deploy(work)
    pipeline.expect_dead_letters()
    work.on_every_run(lambda: calls(8))
    job = work.delay()

    pipeline.drain()
    waiting = job.record()
    pipeline.run_until_idle()
    failed = job.record()

    assert (waiting.state, failed.state) == (State.RETRYING, State.FAILED)
    assert waiting.error["traceback"].startswith('...\n  File "')
    assert waiting.error["traceback"].endswith(f"RuntimeError: {waiting.error['message']}\n")
    assert "in calls\n" in waiting.error["traceback"]
    assert "The above exception was the direct cause" in failed.error["traceback"]
    assert failed.error["traceback"].count("in calls_again") == 8
    assert fingerprint(waiting.error) == fingerprint(failed.error)
