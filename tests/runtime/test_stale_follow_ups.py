"""A job that failed and is started once more inherits no follow-up from the failure.

The record of a failed job names `on_failure` until the follow-up is enqueued. An outage of the queues can last until
the message is in the dead-letter queue. When the next run succeeds, nobody is to be told of a failure.
"""

from __future__ import annotations

from typing import Any

import pytest

from offload import Retry, State, task
from tests.runtime.interference import just_before, outage
from tests.runtime.scripted_task import ScriptedTask, fail_for_good


@pytest.mark.parametrize("restart", ["redriven", "retried by hand"])
def test_a_job_that_succeeds_after_a_restart_does_not_enqueue_the_follow_up_of_its_failure(deploy, restart):
    # Given a job that has failed, and whose follow-up could not be enqueued
    told = []

    @task
    def alert(job: dict[str, Any]) -> None:
        told.append(job["state"])

    work = ScriptedTask(on_failure="alert", retry=Retry(max_attempts=1))
    pipeline = deploy(work, alert)
    work.on_run(1, fail_for_good)
    job = work.delay("a")
    with outage(pipeline.queues, "send"):
        pipeline.run_until_idle()
    assert len(pipeline.dead("work")) == 1
    assert pipeline.record(job.id)["follow_up"] == "alert"

    # When the job is started once more, and succeeds
    pipeline.clock.advance(60)
    if restart == "redriven":
        pipeline.redrive("work")
    else:
        job.retry()
        assert "follow_up" not in pipeline.record(job.id)
    pipeline.run_until_idle()

    # Then no follow-up is enqueued
    assert job.status() is State.SUCCEEDED
    assert told == []
    assert [record["id"] for record in pipeline.store.items()] == [job.id]
    assert "follow_up" not in pipeline.record(job.id)


def test_an_end_whose_follow_up_was_enqueued_late_does_not_make_the_record_forget_that_of_a_later_end(deploy):
    # Given a job that has failed, and whose worker stands still when it has enqueued the follow-up
    told = []

    @task
    def alert(job: dict[str, Any]) -> None:
        told.append(job["state"])

    work = ScriptedTask(on_success="alert", on_failure="alert", retry=Retry(max_attempts=1))
    pipeline = deploy(work, alert)
    work.on_run(1, fail_for_good)
    job = work.delay("a")

    # When the job is redriven meanwhile, succeeds, and its other worker dies before it enqueues what follows
    def ends_again():
        later = {"state": State.SUCCEEDED.value, "redrives": 1, "finished_at": pipeline.clock.now() + 1}
        pipeline.store.port.change(job.id, follow_up="alert", **later)

    just_before(pipeline.store, "apply", ends_again, where=lambda write: write.remove == ("follow_up",))
    pipeline.run_until_idle()

    # Then the follow-up of the success is enqueued by whoever receives the job's message next
    assert told == ["FAILED", "SUCCEEDED"]
    assert "follow_up" not in pipeline.record(job.id)
