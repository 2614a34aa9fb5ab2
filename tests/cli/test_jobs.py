"""`offload jobs`."""

from __future__ import annotations

import contextlib
import io

import pytest

from offload import Retry, State
from tests.cli.greeting import greet
from tests.runtime.scripted_task import ScriptedTask, run_again_in


def test_a_job_is_shown_whole(offload, world):
    job = greet.delay("ann")
    world.drain()
    shown = offload("jobs", "show", job.id, "--json").json
    assert (shown["state"], shown["attempt"], shown["result"]) == ("SUCCEEDED", 1, "hello ann")
    assert [entry["state"] for entry in shown["history"]] == ["PENDING", "RUNNING", "SUCCEEDED"]
    text = offload("jobs", "show", job.id).out
    assert "state: SUCCEEDED" in text
    assert "result: hello ann" in text


def test_a_result_that_is_gone_does_not_hide_its_job(offload, world):
    job = greet.delay("ann")
    world.drain()
    world.clock.advance(8 * 86_400)
    done = offload("jobs", "show", job.id, "--json")
    assert done.code == 0
    assert "expired" in done.json["result_error"]


def test_jobs_that_need_attention(offload, world):
    failed = greet.delay("nobody")
    world.run_until_idle()
    world.clock.advance(10)
    later = greet.options(delay="1h").delay()
    done = greet.delay("ann")
    world.drain()
    listed = offload("jobs", "list", "--json").json
    assert [row["id"] for row in listed] == [later.id, failed.id]
    assert done.id not in str(listed)
    assert [row["id"] for row in offload("jobs", "list", "--state", "failed").rows] == [failed.id]
    assert offload("jobs", "list", "--state", "RETRYING", "--json").json == []
    assert [row["id"] for row in offload("jobs", "list", "greet").rows] == [later.id, failed.id]
    assert offload("jobs", "list", "--limit", "1").rows[0]["id"] == later.id


def test_a_failure_is_not_hidden_by_jobs_that_are_yet_to_come(offload, world):
    for _ in range(5):
        greet.options(delay="30d").delay()
    world.clock.advance(60)
    failed = greet.delay("nobody")
    world.drain()
    assert [row["id"] for row in offload("jobs", "list", "--limit", "1").rows] == [failed.id]


def test_cancel(offload, world):
    job = greet.delay()
    assert offload("jobs", "cancel", job.id, "--json").json["state"] == "CANCELLED"
    assert offload("jobs", "cancel", job.id).code == 0


def test_a_failed_job_is_retried(offload, world):
    job = greet.delay("nobody")
    world.run_until_idle()
    shown = offload("jobs", "retry", job.id, "--json")
    assert (shown.code, shown.json["state"], shown.json["attempt"]) == (0, "PENDING", 0)
    world.run_until_idle()
    assert (world.job(job.id).redrives, job.status()) == (1, State.FAILED)
    assert "state: PENDING" in offload("jobs", "retry", job.id).out


@pytest.mark.parametrize(("wait", "said"), [("5m", "the next attempt starts in 300 s"), ("1h", "")])
def test_a_wait_that_cannot_be_cut_is_told(offload, deploy, wait, said):
    work = ScriptedTask(retry=Retry(max_attempts=2))
    offload.world = deploy(work)
    work.on_run(1, run_again_in(wait))
    job = work.delay("a")
    offload.world.drain()

    done = offload("jobs", "retry", job.id)

    assert (done.code, "state: RETRYING" in done.out) == (0, True)
    assert said in done.err
    assert len(done.err.splitlines()) == bool(said)


def test_what_cannot_be_retried_is_one_clear_line(offload, world):
    job = greet.delay("ann")
    world.run_until_idle()
    done = offload("jobs", "retry", job.id)
    assert (done.code, done.is_one_line_of_error) == (2, True)
    assert f"job {job.id} is SUCCEEDED: it is done; to run it again, enqueue it anew" in done.err
    gone = greet.delay("nobody")
    world.run_until_idle()
    offload("dlq", "purge", "greet", "--yes")
    begin = world.clock.now()
    done = offload("jobs", "retry", gone.id, "--timeout", "5")
    assert (done.code, done.is_one_line_of_error) == (3, True)
    assert "not in the dead-letter queue of 'greet'" in done.err
    assert 5_000 <= world.clock.now() - begin <= 8_000


@pytest.mark.parametrize(("timeout", "waits"), [(None, 30), (60, 30), (5, 5), (0, 0)])
def test_an_unknown_job_is_waited_for_a_while(offload, world, timeout, waits):
    begin = world.clock.now()
    done = offload("jobs", "wait", "missing", *(() if timeout is None else ("--timeout", str(timeout))))
    assert (done.code, done.is_one_line_of_error) == (3, True)
    assert waits * 1000 <= world.clock.now() - begin < waits * 1000 + 500


def test_a_bare_message_is_waited_for_before_it_has_a_record(offload, world):
    job_id = world.send('{"payload": {"name": "ann"}}')

    def receive():
        with contextlib.redirect_stdout(io.StringIO()):  # the worker's metrics
            world.drain()

    world.clock.call_at(world.clock.now() + 20_000, receive)
    assert offload("jobs", "wait", job_id, "--json").json["result"] == "hello ann"


@pytest.mark.parametrize(("name", "code"), [("ann", 0), ("nobody", 1)])
def test_wait_tells_success_from_failure(offload, world, name, code):
    job = greet.delay(name)
    world.run_until_idle()
    assert offload("jobs", "wait", job.id).code == code
