from __future__ import annotations

import json

import pytest

from offload import JobCancelled, JobExpired, JobFailed, OffloadError, ResultExpired, State
from offload.core.jobs import INDEXED, SHARDS, Job, index_key, index_keys, transition

AT = 1_767_225_600_000
ITEM = {
    "id": "a",
    "task": "work",
    "state": "SUCCEEDED",
    "attempt": 2,
    "max_attempts": 3,
    "created_at": AT,
    "finished_at": AT,
    "result": "0",
    "result_until": AT + 1000,
    "lease": "x",
    "message_id": "m",
    "ttl": 1,
    "idx": "i",
    "slot_at": 5,
    "progress": {"current": 0, "total": 3, "at": AT},
    "history": [["PENDING", AT, 0], ["RUNNING", AT, 2], ["SUCCEEDED", AT, 2, "a note"]],
}


def test_a_record_is_read_without_the_worker_own_attributes():
    job = Job.read(ITEM)
    assert (job.id, job.state, job.attempt, job.result) == ("a", State.SUCCEEDED, 2, "0")
    assert job.history[2] == {"state": "SUCCEEDED", "at": AT, "attempt": 2, "note": "a note"}


def test_the_attempt_of_a_claim_is_filled_in():
    job = Job.read({"id": "a", "task": "t", "state": "RUNNING", "attempt": 4, "history": [["RUNNING", AT, 0]]})
    assert job.history[-1]["attempt"] == 4


def test_a_record_with_the_least_it_can_have():
    job = Job.read({"id": "a", "task": "t", "state": "PENDING"})
    assert job.describe() == {"id": "a", "task": "t", "state": "PENDING", "attempt": 0}


def test_a_description_is_json_with_times_people_read():
    shown = Job.read(ITEM).describe()
    assert json.loads(json.dumps(shown)) == shown
    assert shown["created_at"] == shown["progress"]["at"] == shown["history"][0]["at"] == "2026-01-01T00:00:00.000Z"
    assert shown["result_until"] == "2026-01-01T00:00:01.000Z"
    assert shown["result"] == "0"
    assert shown["progress"]["current"] == 0
    assert not {"lease", "message_id", "ttl", "idx", "error", "next_at"} & set(shown)


@pytest.mark.parametrize(
    ("state", "raised"),
    [
        ("SUCCEEDED", None),
        ("FAILED", JobFailed),
        ("CANCELLED", JobCancelled),
        ("EXPIRED", JobExpired),
        ("RUNNING", OffloadError),
        ("RETRYING", OffloadError),
    ],
)
def test_an_end_is_raised_as_what_it_is(state, raised):
    job = Job.read({**ITEM, "state": state, "error": {"type": "ValueError", "message": "boom"}})
    if raised is None:
        job.raise_unless_succeeded()
        return
    with pytest.raises(raised) as told:
        job.raise_unless_succeeded()
    assert type(told.value) is raised
    assert "job a" in str(told.value)
    if raised is JobFailed:
        assert told.value.error["type"] == "ValueError"
        assert "boom" in str(told.value)


@pytest.mark.parametrize(("now", "expired"), [(AT, False), (AT + 999, False), (AT + 1000, True)])
def test_a_result_expires_though_the_store_still_has_it(now, expired):
    job = Job.read(ITEM)
    if expired:
        with pytest.raises(ResultExpired, match="2026-01-01T00:00:01"):
            job.check_result_life(now)
    else:
        job.check_result_life(now)


def test_terminal_states():
    assert {state for state in State if state.terminal} == {
        State.SUCCEEDED,
        State.FAILED,
        State.CANCELLED,
        State.EXPIRED,
    }


def test_every_job_is_in_a_partition_that_is_looked_at_and_they_are_all_used():
    for state in INDEXED:
        used = {index_key("work", state, f"job-{n}") for n in range(100)}
        assert used == set(index_keys("work", state))
        assert len(used) == SHARDS


def test_a_note_is_bounded():
    assert transition(State.FAILED, AT, 1, "x" * 500) == ["FAILED", AT, 1, "x" * 120]


def test_a_run_whose_worker_died_has_its_own_number():
    item = {
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
    assert [entry["attempt"] for entry in Job.read(item).history] == [0, 1, 1, 2, 3, 3]
