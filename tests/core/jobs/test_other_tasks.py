"""A job id belongs to one task: no write that a message causes changes the record of another task's job."""

from __future__ import annotations

import pytest

from offload.core.errors import IdTaken, MessageError
from offload.core.flow.line import Standing, note_standing
from offload.core.ids import id_apart, is_apart
from offload.core.jobs.accepting import accept, check_owner
from offload.core.jobs.cancelling import cancel_unrecorded, cancel_waiting
from offload.core.jobs.claiming import Reject, claim, expect, note_replacement, release_claim, resolve_conflict
from offload.core.jobs.ending import (
    end_attempt,
    end_cancelled,
    end_expired,
    end_rejected,
    end_run_failed,
    end_succeeded,
)
from offload.core.jobs.state import State
from offload.core.messages.message import Message
from tests.core.deliveries import NOW, carried_out, claim_request, delivery

ERROR = {"type": "ValueError", "message": "x", "traceback": "", "attempt": 0}
GIVEN = delivery(message_id="m2", sent_at=NOW, replaces=("m1",), expires_at=NOW - 1)
"""A delivery of the task `work` that would fit the record in everything but the task."""

WRITES = {
    "claim": lambda _: claim(claim_request(GIVEN)),
    "release": lambda _: release_claim(GIVEN, NOW),
    "note what replaces it": lambda record: note_replacement(record, GIVEN),
    "note its slot": lambda record: note_standing(GIVEN, {**record, "task": "work"}, Standing(NOW), NOW, NOW),
    "expire": lambda _: end_expired(GIVEN, NOW),
    "reject a broken body": lambda _: end_rejected(GIVEN, ERROR, NOW, readable=False),
    "reject a payload": lambda _: end_rejected(GIVEN, ERROR, NOW, readable=True),
    "succeed": lambda record: end_succeeded(GIVEN, record, NOW, result={}, run_attributes={}, result_until=NOW),
    "fail": lambda record: end_run_failed(GIVEN, record, NOW, error=ERROR, run_attributes={}),
    "end an attempt": lambda record: end_attempt(GIVEN, record, NOW, error=ERROR, due=NOW, run_attributes={}),
    "stop": lambda record: end_cancelled(GIVEN, record, NOW),
    "accept": lambda _: accept("work", "job", Message(payload={}), NOW, due=None, max_attempts=3),
    "cancel": lambda _: cancel_waiting("job", NOW, "work"),
    "cancel without a record": lambda _: cancel_unrecorded("work", "job", NOW),
}


def record(state, task="other"):
    """Return a record that `GIVEN` could change if the job were of the task `work`."""
    return {
        "id": "job", "task": task, "state": state.value, "attempt": 1, "lease": "mine", "lease_until": NOW - 1,
        "message_id": "m1", "finished_at": NOW - 1, "next_at": NOW - 1, "expires_at": NOW - 1, "updated_at": 1,
        "history": [["PENDING", 1, 0]],
    }  # fmt: skip


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("write", WRITES.values(), ids=list(WRITES))
def test_no_write_changes_another_tasks_record(write, state):
    theirs = record(state)
    assert carried_out(write(theirs), theirs) is None


@pytest.mark.parametrize("write", WRITES)
def test_each_of_these_writes_changes_some_record_of_its_own_task(write):
    if write.startswith(("accept", "cancel without")):
        assert carried_out(WRITES[write](None), None) is not None
    else:
        own = [record(state, "work") for state in State]
        assert any(carried_out(WRITES[write](each), each) is not None for each in own)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("lease", ["mine", "theirs", ""])
def test_a_delivery_that_meets_another_tasks_record_is_rejected(state, lease):
    theirs = {**record(state), "lease": lease}
    assert resolve_conflict(theirs, claim_request(GIVEN)) == Reject("other")
    assert expect(theirs, claim_request(GIVEN)) == Reject("other")


def test_what_is_told_of_an_id_that_is_taken():
    check_owner("work", record(State.FAILED, "work"))
    check_owner(None, record(State.FAILED))
    with pytest.raises(IdTaken) as told:
        check_owner("work", record(State.FAILED))
    assert str(told.value) == "job id 'job' belongs to task 'other': choose another id"
    assert (told.value.job_id, told.value.owner) == ("job", "other")


def test_no_message_can_name_a_record_apart():
    apart = delivery().apart()
    assert (apart.job_id, apart.message_id) == (id_apart("job", "work"), "m1")
    assert is_apart(apart.job_id)
    assert not is_apart("job")
    with pytest.raises(MessageError, match="is not a job id"):
        Message.decode(f'{{"payload": {{}}, "id": "{apart.job_id}"}}')
