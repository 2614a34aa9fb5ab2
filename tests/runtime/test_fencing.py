"""A worker that was overtaken records nothing: not its result, its error or its progress.

A worker lives on past its lease when its sandbox was frozen or its clock stood still. Then another has claimed the job.
"""

from __future__ import annotations

import json

import pytest

from offload import Retry, RetryLater, State, current_job, task
from offload.core.errors import LeaseLost
from tests.runtime.scripted_task import ScriptedTask

PAST_ITS_LEASE = 7 * 60


def succeeds():
    pass


def fails():
    raise KeyError("late")


def asks_to_run_again():
    raise RetryLater


def tells_its_progress():
    current_job().progress(1)


@pytest.mark.parametrize("overtaken", [succeeds, fails, asks_to_run_again, tells_its_progress])
@pytest.mark.parametrize("winner_fails", [False, True])
def test_an_overtaken_worker_records_nothing(deploy, overtaken, winner_fails):
    work = ScriptedTask(retry=Retry(max_attempts=2, base="1s"), timeout="1m")
    pipeline = deploy(work)

    def be_overtaken():
        pipeline.clock.advance(PAST_ITS_LEASE)
        pipeline.poll()  # the message is visible again: a second worker takes the job over, and ends before this one
        overtaken()

    def win():
        if winner_fails:
            raise ValueError("the winner's own error")

    work.on_run(1, be_overtaken)
    work.on_run(2, win)
    job = work.delay("a")
    pipeline.poll(kill_at_timeout=False)

    record = job.record()
    assert work.attempts == [1, 2]
    assert record.attempt == 2
    if winner_fails:
        assert (record.state, record.error["message"]) == (State.FAILED, "the winner's own error")
    else:
        assert (record.state, record.result, record.error) == (State.SUCCEEDED, '"a"', None)
    assert record.progress is None

    before = json.dumps(pipeline.record(job.id))
    pipeline.run_until_idle()

    assert json.dumps(pipeline.record(job.id)) == before
    assert len(pipeline.dead()) == winner_fails


def test_an_overtaken_worker_does_not_replace_the_winners_large_result(deploy):
    runs = []

    @task
    def large() -> str:
        runs.append(len(runs))
        overtaken = len(runs) == 1
        if overtaken:
            pipeline.clock.advance(PAST_ITS_LEASE)
            pipeline.poll()
        return ("overtaken" if overtaken else "winner") * 2_000

    pipeline = deploy(large)
    job = large.delay()
    pipeline.poll(kill_at_timeout=False)

    assert len(pipeline.blobs.keys()) == 2
    assert job.result(0) == "winner" * 2_000


def test_only_the_worker_whose_lease_the_record_names_can_end_the_job(deploy):
    work = ScriptedTask()
    pipeline = deploy(work)
    job = work.delay("a")
    work.on_run(1, lambda: pipeline.store.port.change(job.id, lease="another's"))

    pipeline.poll()

    record = pipeline.record(job.id)
    assert (record["state"], record["lease"]) == ("RUNNING", "another's")
    assert pipeline.mapping().responses[-1]["batchItemFailures"] != []


def test_the_progress_of_an_overtaken_worker_raises_and_is_not_recorded(deploy):
    work = ScriptedTask()
    pipeline = deploy(work)
    job = work.delay("a")
    told = []

    def be_overtaken_and_tell_progress():
        pipeline.store.port.change(job.id, lease="another's")
        with pytest.raises(LeaseLost) as caught:
            current_job().progress(1, 2)
        told.append(str(caught.value))

    work.on_run(1, be_overtaken_and_tell_progress)
    pipeline.poll()

    assert job.id in told[0]
    assert "progress" not in pipeline.record(job.id)
