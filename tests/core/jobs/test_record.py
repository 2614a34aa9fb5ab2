from __future__ import annotations

import pytest

from offload.core.jobs.fingerprint import fingerprint
from offload.core.jobs.job import Job
from offload.core.jobs.record import (
    BRIEF,
    INDEXED,
    SHARDS,
    history_entry,
    in_brief,
    index_key,
    index_keys,
    message_attributes,
)
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


FRAMES = "".join(f'  File "/var/task/functions/pay/handler.py", line {n}, in step_{n}\n    step()\n' for n in range(40))


@pytest.mark.parametrize(
    ("frames", "text", "innermost"),
    [
        (FRAMES, "ValueError: no\n", "step_39"),
        (FRAMES, f"ValueError: {'ä' * 390}\n", "step_39"),
        (FRAMES, f"ValueError: {'x' * 3_000}\n", "step_39"),
        (FRAMES, f"ValueError: {'€' * 300}\n", "step_39"),
    ],
)
def test_an_error_in_brief_has_the_innermost_frames_and_its_text(frames, text, innermost):
    error = {"type": "ValueError", "message": text, "traceback": f"Traceback:\n{frames}{text}", "attempt": 1}

    brief = in_brief(error)

    assert len(brief["traceback"].encode()) <= BRIEF + 4
    assert brief["traceback"].startswith('...\n  File "')
    assert f"in {innermost}\n" in brief["traceback"]
    assert text[:200] in brief["traceback"]
    assert fingerprint(brief) == fingerprint(error)
    assert {**brief, "traceback": ""} == {**error, "traceback": ""}


@pytest.mark.parametrize("shown", ["", "Traceback:\n  short\n", "x" * BRIEF])
def test_a_short_traceback_is_kept_whole(shown):
    error = {"type": "E", "message": "", "traceback": shown, "attempt": 1}
    assert in_brief(error) == error


def test_a_long_text_without_frames_is_cut():
    error = {"type": "E", "message": "", "traceback": "x" * 4_000, "attempt": 1}
    assert in_brief(error)["traceback"] == f"...\n{'x' * BRIEF}"
