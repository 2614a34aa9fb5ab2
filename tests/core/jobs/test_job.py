from __future__ import annotations

import json

import pytest

from offload import JobCancelled, JobExpired, JobFailed, OffloadError, ResultExpired, State
from offload.core.jobs.job import Job

AT = 1_767_225_600_000
RECORD = {
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
    "place_at": 5,
    "progress": {"current": 0, "total": 3, "at": AT},
    "history": [["PENDING", AT, 0], ["RUNNING", AT, 2], ["SUCCEEDED", AT, 2, "a note"]],
}


def test_a_record_is_read_without_what_serves_the_library_alone():
    job = Job.read(RECORD)
    assert (job.id, job.state, job.attempt, job.result) == ("a", State.SUCCEEDED, 2, "0")
    assert job.history[2] == {"state": "SUCCEEDED", "at": AT, "attempt": 2, "note": "a note"}
    assert not {"lease", "message_id", "ttl", "idx", "place_at"} & set(Job.__dataclass_fields__)


def test_a_record_with_the_least_it_can_have():
    job = Job.read({"id": "a", "task": "t", "state": "PENDING"})
    assert job.describe() == {"id": "a", "task": "t", "state": "PENDING", "attempt": 0}


def test_a_description_is_json_with_times_people_read():
    shown = Job.read(RECORD).describe()
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
    job = Job.read({**RECORD, "state": state, "error": {"type": "ValueError", "message": "boom"}})
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
    job = Job.read(RECORD)
    if expired:
        with pytest.raises(ResultExpired, match="2026-01-01T00:00:01"):
            job.check_result_life(now)
    else:
        job.check_result_life(now)
