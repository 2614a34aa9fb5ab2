"""What a job costs: the requests of the usual case."""

from __future__ import annotations

import json

import pytest

from tests.runtime.scripted_task import ScriptedTask

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
