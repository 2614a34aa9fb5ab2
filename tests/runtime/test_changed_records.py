"""A worker decides by a record that changes before the decision is written: its message must come back.

To acknowledge the message would lose the job, since nothing else will start it or end it.
"""

from __future__ import annotations

import json

from offload import Retry, State
from tests.runtime.interference import just_before, to_state
from tests.runtime.scripted_task import ScriptedTask, fail_for_good

AFTER_THE_LEASE = 7 * 60


def claim_by_another_worker(pipeline, job):
    """Let another worker claim the job now, under a lease of a minute, and die at once."""
    pipeline.store.port.change(job.id, lease="another's", lease_until=pipeline.clock.now() + 60_000)


def test_a_failure_is_recorded_later_when_another_worker_claims_the_job_right_before(deploy):
    # Given a job whose worker has died on the last attempt
    work = ScriptedTask(retry=Retry(max_attempts=1), timeout="1m")
    pipeline = deploy(work)
    work.on_run(1, pipeline.kill)
    job = work.delay("a")
    pipeline.poll()
    pipeline.clock.advance(AFTER_THE_LEASE)

    # When another worker claims the job right before the failure is written
    just_before(
        pipeline.store, "apply", lambda: claim_by_another_worker(pipeline, job), where=to_state(State.FAILED.value)
    )
    pipeline.poll()

    # Then the message comes back, and fails the job once the other worker has died too
    assert job.status() is State.RUNNING
    assert len(pipeline.waiting()) == 1
    pipeline.run_until_idle()
    assert (job.status(), job.record().error["type"]) == (State.FAILED, "WorkerLost")
    assert len(pipeline.dead()) == 1


def test_a_cancel_is_recorded_later_when_another_worker_claims_the_job_right_before(deploy):
    # Given a job that was asked to stop, and whose worker has died before it could
    work = ScriptedTask(timeout="1m")
    pipeline = deploy(work)
    job = work.delay("a")
    work.on_run(1, job.cancel)
    work.on_run(1, pipeline.kill)
    pipeline.poll()
    pipeline.clock.advance(AFTER_THE_LEASE)

    # When another worker claims the job right before the cancel is written
    just_before(
        pipeline.store, "apply", lambda: claim_by_another_worker(pipeline, job), where=to_state(State.CANCELLED.value)
    )
    pipeline.poll()

    # Then the message comes back, and cancels the job once the other worker has died too
    assert job.status() is State.RUNNING
    assert len(pipeline.waiting()) == 1
    pipeline.run_until_idle()
    assert job.status() is State.CANCELLED
    assert pipeline.dead() == []


def test_a_copy_of_a_failed_message_runs_the_job_that_is_restarted_right_before_the_copy_is_noted(deploy):
    # Given a failed job, and a copy that has replaced the job's message
    work = ScriptedTask()
    pipeline = deploy(work)
    work.on_run(1, fail_for_good)
    job = work.delay("a")
    pipeline.run_until_idle()
    (failed,) = pipeline.dead()
    pipeline.send(json.dumps({**json.loads(failed.body), "replaces": [failed.message_id]}))

    # When the job is restarted right before the record notes the copy
    just_before(
        pipeline.store,
        "apply",
        lambda: pipeline.store.port.change(job.id, state=State.PENDING.value, attempt=0),
        where=lambda write: "message_sent_at" in write.set,
    )
    pipeline.run_until_idle()

    # Then the copy runs the job
    assert job.status() is State.SUCCEEDED
    assert work.runs == [("a", 1), ("a", 1)]
