from __future__ import annotations

import pytest

from offload.core.jobs.accepting import accept
from offload.core.jobs.claiming import claim
from offload.core.jobs.record import index_keys, record_ttl
from offload.core.messages.message import Message
from tests.core.deliveries import NOW, carried_out, claim_request, delivery

MESSAGE = Message(payload={}, id="job", enqueued_at=NOW - 5, tenant="acme")


@pytest.mark.parametrize(("due", "state"), [(None, "PENDING"), (NOW + 3000, "SCHEDULED")])
def test_an_accepted_job(due, state):
    record = carried_out(accept("work", "job", MESSAGE, NOW, due=due, max_attempts=3), None)
    assert (record["state"], record["attempt"], record["created_at"], record["tenant"]) == (state, 0, NOW - 5, "acme")
    assert record["max_attempts"] == 3
    assert record.get("next_at") == record.get("idx_at") == due
    assert (record.get("idx") in index_keys("work", state)) is (due is not None)
    assert record["ttl"] == record_ttl(due or NOW)
    assert record["history"] == [[state, NOW, 0]]


def test_a_producer_that_does_not_know_the_task_leaves_its_attempts_to_the_worker():
    record = carried_out(accept("work", "job", MESSAGE, NOW, due=None, max_attempts=None), None)
    assert "max_attempts" not in record


def test_a_producer_never_overwrites_what_a_worker_has_written():
    running = carried_out(claim(claim_request(delivery())), None)
    assert running is not None
    assert carried_out(accept("work", "job", Message(payload={}), NOW, due=None, max_attempts=3), running) is None
