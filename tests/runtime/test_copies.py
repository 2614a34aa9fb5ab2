"""The copy that replaces a message keeps what the queue and the record know of the message."""

from __future__ import annotations

import pytest

from offload import Retry, State
from tests.runtime.interference import leave_receives, outage
from tests.runtime.scripted_task import ScriptedTask


def test_a_copy_sent_before_a_run_stays_in_the_fairness_group_of_its_tenant(deploy):
    work = ScriptedTask()
    pipeline = deploy(work)
    work.options(tenant="acme").delay("a")
    (original,) = pipeline.waiting()
    leave_receives(pipeline, 2)

    pipeline.poll()

    (copy,) = pipeline.waiting()
    assert copy.message_id != original.message_id
    assert (original.group, copy.group) == ("acme", "acme")


def test_a_copy_sent_during_an_outage_stays_in_the_fairness_group_of_its_tenant(deploy):
    work = ScriptedTask()
    pipeline = deploy(work)
    work.options(tenant="acme").delay("a")
    (original,) = pipeline.waiting()
    leave_receives(pipeline, 2)

    with outage(pipeline.store):
        pipeline.poll()

    (copy,) = pipeline.waiting()
    assert copy.message_id != original.message_id
    assert (original.group, copy.group) == ("acme", "acme")


@pytest.mark.parametrize(
    "body", ['{"payload": {"name": "a"}}', '{"payload": {"name": "a"}, "id": null, "enqueued_at": null}']
)
def test_a_job_whose_bare_message_is_replaced_before_its_record_exists_is_as_old_as_the_original(deploy, body):
    # Given a message without an id or a time of its own, whose job has no record yet
    pipeline = deploy(ScriptedTask(retry=Retry(max_attempts=1)))
    job_id = pipeline.send(body)
    sent_at = pipeline.clock.now()
    leave_receives(pipeline, 2)
    pipeline.clock.advance(60)

    # When a copy replaces the message, and the copy runs the job
    pipeline.poll()
    assert pipeline.store.items() == []
    pipeline.run_until_idle()

    # Then the record tells when the original was sent
    job = pipeline.job(job_id)
    assert (job.state, job.created_at) == (State.SUCCEEDED, sent_at)
    assert job.history[0] == {"state": "PENDING", "at": sent_at, "attempt": 0}
