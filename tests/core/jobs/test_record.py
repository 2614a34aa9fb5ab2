from __future__ import annotations

import pytest

from offload.core.jobs.job import Job
from offload.core.jobs.record import INDEXED, SHARDS, history_entry, index_key, index_keys, message_attributes
from offload.core.jobs.state import State
from offload.core.messages.message import Message

AT = 1_767_225_600_000


def test_every_job_is_in_a_partition_that_is_looked_at_and_they_are_all_used():
    for state in INDEXED:
        used = {index_key("work", state, f"job-{n}") for n in range(100)}
        assert used == set(index_keys("work", state))
        assert len(used) == SHARDS


def test_what_a_message_does_not_set_is_not_in_the_record():
    assert message_attributes(Message(payload={"x": 1})) == {}
    assert message_attributes(Message(payload={}, tenant="acme", hops=2)) == {"tenant": "acme"}


def test_a_note_is_bounded():
    assert history_entry(State.FAILED, AT, 1, "x" * 500) == ["FAILED", AT, 1, "x" * 120]
    assert history_entry(State.FAILED, AT, 1) == ["FAILED", AT, 1]


def test_the_attempt_of_a_claim_is_filled_in():
    job = Job.read({"id": "a", "task": "t", "state": "RUNNING", "attempt": 4, "history": [["RUNNING", AT, 0]]})
    assert job.history[-1]["attempt"] == 4


@pytest.mark.parametrize(
    ("attempt", "before"), [(1, [["PENDING", 1, 0], ["RUNNING", 2, 0], ["RETRYING", 3, 1]]), (0, [["PENDING", 1, 0]])]
)
def test_the_attempt_of_a_cancel_is_filled_in(attempt, before):
    history = [*before, ["CANCELLED", AT, 0]]
    job = Job.read({"id": "a", "task": "t", "state": "CANCELLED", "attempt": attempt, "history": history})
    assert (job.history[-1]["state"], job.history[-1]["attempt"]) == ("CANCELLED", attempt)


def test_a_run_whose_worker_died_has_its_own_number():
    record = {
        "id": "a",
        "task": "t",
        "state": "SUCCEEDED",
        "attempt": 3,
        "history": [
            ["PENDING", 1, 0],
            ["RUNNING", 2, 0],
            ["RETRYING", 3, 1],
            ["RUNNING", 4, 0],
            ["RUNNING", 5, 3, "the worker before it died"],
            ["SUCCEEDED", 6, 3],
        ],
    }
    assert [entry["attempt"] for entry in Job.read(record).history] == [0, 1, 1, 2, 3, 3]
