"""A failed job that is retried by hand gets all its attempts anew, and runs exactly once more."""

from __future__ import annotations

import json

import pytest

from offload import Retry, State, Unavailable, UnknownJob, WrongState, task
from tests.runtime.interference import just_before, right_after
from tests.runtime.scripted_task import ScriptedTask, fail, fail_for_good

ONE_ROUND = ["PENDING/0", "RUNNING/1", "RETRYING/1", "RUNNING/2", "FAILED/2"]


def test_a_failed_job_gets_all_its_attempts_anew_and_keeps_its_history(pipeline, work):
    work.on_first_runs(4, fail)
    job = work.delay("a")
    pipeline.run_until_idle()
    assert work.attempts == [1, 2]

    back = job.retry()
    assert (back.state, back.attempt, back.redrives, back.finished_at) == (State.PENDING, 0, 1, None)
    assert "idx" not in pipeline.record(job.id)
    assert pipeline.dead() == []
    pipeline.run_until_idle()

    assert work.attempts == [1, 2, 1, 2]
    assert pipeline.states(job.id) == ONE_ROUND + ONE_ROUND

    job.retry()
    pipeline.run_until_idle()

    assert job.result(0) == "a"
    assert job.record().redrives == 2


def test_a_job_that_failed_for_good_is_run_again_too(deploy):
    work = ScriptedTask(retry=Retry(max_attempts=3))
    pipeline = deploy(work)
    work.on_every_run(fail_for_good)
    job = work.delay()
    pipeline.run_until_idle()

    job.retry()
    pipeline.run_until_idle()

    assert pipeline.states(job.id) == ["PENDING/0", "RUNNING/1", "FAILED/1"] * 2


def test_whoever_waits_after_a_retry_waits_for_the_new_end(pipeline, failed):
    failed.retry()
    pipeline.clock.call_at(pipeline.clock.now() + 20_000, pipeline.drain)

    assert failed.result(60) == "a"


def test_a_job_that_was_to_start_by_a_time_is_run_after_it(pipeline, work):
    work.on_first_runs(2, fail)
    job = work.options(expires="1m").delay("a")
    pipeline.run_until_idle()
    assert pipeline.clock.now() > job.record().expires_at

    job.retry()
    pipeline.run_until_idle()

    assert job.result(0) == "a"


def test_a_retried_job_can_be_cancelled(pipeline, work, failed):
    failed.retry()

    assert failed.cancel().state is State.CANCELLED
    pipeline.run_until_idle()

    assert work.runs == []
    assert pipeline.waiting() == pipeline.dead() == []


# Somebody else is faster


def test_a_worker_may_be_faster_than_the_record(pipeline, work, failed):
    right_after(pipeline.queues, "send", pipeline.drain)

    assert failed.retry().state is State.SUCCEEDED
    pipeline.run_until_idle()

    assert work.attempts == [1]
    assert (failed.status(), failed.record().redrives) == (State.SUCCEEDED, 1)


def test_a_run_that_fails_within_the_same_millisecond_is_not_undone(pipeline, work, failed):
    """The worker has run the job to its end, and its message is a dead letter again: PENDING would wait for ever."""
    before = failed.record().finished_at
    work.on_every_run(fail)

    def fail_again_at_once():
        pipeline.run_until_idle()
        pipeline.store.port.change(failed.id, finished_at=before)

    right_after(pipeline.queues, "send", fail_again_at_once)

    assert failed.retry().state is State.FAILED
    assert len(pipeline.dead()) == 1


def test_a_message_that_is_rejected_before_the_record_is_written_leaves_the_job_failed(pipeline, failed):
    """Its payload does not fit the task any more. No run began, so only the time tells this failure from the first."""
    before = failed.record()

    @task(priorities=("default", "high"))
    def work(count: int) -> None: ...

    pipeline.deploy(work)

    def reject_a_millisecond_later():
        pipeline.clock.advance(1)
        pipeline.run_until_idle()

    right_after(pipeline.queues, "send", reject_a_millisecond_later)

    after = failed.retry()
    assert (after.state, after.error["type"]) == (State.FAILED, "PayloadError")
    assert after.finished_at > before.finished_at
    assert len(pipeline.dead()) == 1


def test_of_two_operators_the_slower_one_is_told(pipeline, failed):
    just_before(pipeline.queues, "receive", lambda: pipeline.client.retry(failed.id))

    with pytest.raises(WrongState, match="is PENDING"):
        failed.retry()

    assert len(pipeline.waiting()) == 1


def test_a_record_that_was_not_written_does_not_undo_the_retry(pipeline, failed, worker_log):
    pipeline.store.fail("apply", Unavailable("throttled"))

    failed.retry()

    told = [line for line in worker_log.lines if "the worker will write its record" in line["message"]]
    assert [line["level"] for line in told] == ["WARNING"]
    pipeline.run_until_idle()
    assert (failed.result(0), failed.record().redrives) == ("a", 1)


def test_a_message_sent_again_right_after_the_failure_is_taken_for_redriven(pipeline, failed):
    """When this process dies before it has written the record, only the time of the send tells the worker."""
    right_after(pipeline.queues, "send", lambda: pipeline.store.fail("apply", Unavailable("down")))
    failed_at = failed.record().finished_at

    failed.retry()

    (message,) = pipeline.waiting()
    assert message.sent_at > failed_at
    assert failed.status() is State.FAILED
    pipeline.run_until_idle()
    assert failed.result(0) == "a"


# In any other state


@pytest.mark.parametrize("state", [state for state in State if state not in (State.FAILED, State.RETRYING)])
def test_in_every_other_state_a_retry_is_refused_and_touches_nothing(pipeline, work, state):
    job = work.options(delay="1m" if state is State.SCHEDULED else None).delay("a")
    pipeline.store.port.change(job.id, state=state.value)
    before = json.dumps(pipeline.store.items())
    pipeline.queues.calls.clear()

    with pytest.raises(WrongState, match=f"^job {job.id} is {state}: .{{15,}}"):
        job.retry()

    assert json.dumps(pipeline.store.items()) == before
    assert not pipeline.queues.calls


def test_a_job_without_a_record_is_pending_for_its_handle_and_unknown_by_its_id(pipeline, work):
    pipeline.store.fail("apply", Unavailable("down"))
    job = work.delay("a")

    with pytest.raises(WrongState, match="is PENDING"):
        job.retry()
    with pytest.raises(UnknownJob, match="no job"):
        pipeline.client.retry(job.id)
