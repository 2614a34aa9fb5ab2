"""How a job's end is recorded: under which condition, and what stays in the record."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from offload.core.jobs.claiming import claim, release_claim
from offload.core.jobs.ending import (
    end_attempt,
    end_cancelled,
    end_expired,
    end_rejected,
    end_run_failed,
    end_succeeded,
    was_recorded,
)
from offload.core.jobs.job import Job
from offload.core.jobs.record import DAY_MS, index_keys
from offload.core.jobs.state import TRANSITIONS, State
from offload.core.writes import Conflict
from tests.core.deliveries import NOW, carried_out, claim_request, delivery, table_with

ERROR = {"type": "ValueError", "message": "line one\nline two", "traceback": "…", "attempt": 1}


@pytest.fixture
def table():
    return table_with(None)


@pytest.fixture
def running(table):
    """The record of a job that runs."""
    return table.apply(claim(claim_request(delivery())))


# Every end of a run, by the state that it leads to

ENDS = {
    "SUCCEEDED": lambda record, given: end_succeeded(
        given, record, NOW + 5, result={"result": "1"}, run_attributes={"usage": {}}, result_until=NOW + 7 * DAY_MS
    ),
    "RETRYING": lambda record, given: end_attempt(
        given, record, NOW + 5, error=ERROR, due=NOW + 9, run_attributes={"usage": {}}
    ),
    "FAILED": lambda record, given: end_run_failed(given, record, NOW + 5, error=ERROR, run_attributes={"usage": {}}),
    "CANCELLED": lambda record, given: end_cancelled(given, record, NOW + 5, run_attributes={"usage": {}}),
}


@pytest.mark.parametrize("end", ENDS)
def test_an_end_is_written_once_under_the_lease(table, running, end):
    write = ENDS[end](running, delivery())
    after = table.apply(write)
    assert after["state"] == end
    assert after["usage"] == {}
    assert "lease_until" not in after
    assert [entry["attempt"] for entry in Job.read(after).history] == [0, 1, 1]
    assert was_recorded(after, delivery())
    assert not was_recorded(after, delivery(lease="theirs"))
    with pytest.raises(Conflict):
        table.apply(write)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("state", [state for state in State if state is not State.RUNNING])
def test_an_end_is_refused_in_every_state_but_running(table, running, end, state):
    table.change("job", state=state.value)
    with pytest.raises(Conflict):
        table.apply(ENDS[end](running, delivery()))


@pytest.mark.parametrize("end", ENDS)
def test_an_end_is_refused_under_another_lease_and_without_a_record(table, running, end):
    table.change("job", lease="theirs")
    with pytest.raises(Conflict):
        table.apply(ENDS[end](running, delivery()))
    table.delete("job")
    with pytest.raises(Conflict):
        table.apply(ENDS[end](running, delivery()))


def test_a_run_that_goes_on_was_not_recorded_as_ended(running):
    assert not was_recorded(running, delivery())
    assert not was_recorded(None, delivery())


@pytest.mark.parametrize(
    ("end", "listed"), [("SUCCEEDED", False), ("CANCELLED", False), ("RETRYING", True), ("FAILED", True)]
)
def test_only_what_needs_attention_is_listed(table, running, end, listed):
    after = table.apply(ENDS[end](running, delivery()))
    assert ("idx" in after) is listed
    if listed:
        assert after["idx"] in index_keys("work", end)
        assert after["reason"] == "ValueError: line one line two"


@pytest.mark.parametrize(("wait", "timed"), [(0, False), (900_000, False), (900_001, True), (86_400_000, True)])
def test_a_record_says_until_when_a_timer_is_waited_for(table, running, wait, timed):
    write = end_attempt(delivery(), running, NOW, error=ERROR, due=NOW + wait, run_attributes={})
    assert table.apply(write).get("timer_until") == (NOW + wait if timed else None)


def test_a_retry_gives_way_to_a_cancel_that_was_asked_for(table, running):
    table.change("job", cancel_requested_at=NOW)
    with pytest.raises(Conflict):
        table.apply(ENDS["RETRYING"](running, delivery()))
    assert table.apply(ENDS["CANCELLED"](running, delivery()))["state"] == "CANCELLED"


@pytest.mark.parametrize("end", ["SUCCEEDED", "FAILED"])
def test_an_end_stands_although_a_cancel_was_asked_for(table, running, end):
    table.change("job", cancel_requested_at=NOW)
    assert table.apply(ENDS[end](running, delivery()))["state"] == end


def test_a_record_outlives_every_message_and_its_result(running):
    month = 28 * DAY_MS // 1000
    for end in ENDS:
        assert ENDS[end](running, delivery()).set["ttl"] > NOW // 1000 + month
    year_later = NOW + 365 * DAY_MS
    kept_long = end_succeeded(delivery(), running, NOW, result={}, run_attributes={}, result_until=year_later)
    assert kept_long.set["ttl"] >= year_later // 1000
    due = NOW + 100 * DAY_MS
    retried_late = end_attempt(delivery(), running, NOW, error=ERROR, due=due, run_attributes={})
    assert retried_late.set["ttl"] > due // 1000 + month


def test_a_history_stays_short_and_keeps_its_beginning(table):
    for n in range(40):
        given, now = delivery(lease=str(n)), NOW + 10 * n
        claimed = table.apply(claim(claim_request(given, now=now, max_attempts=99)))
        after = table.apply(end_attempt(given, claimed, now, error=ERROR, due=now, run_attributes={}))
    history = Job.read(after).history
    assert len(history) == 24
    assert [(entry["state"], entry["attempt"]) for entry in history[:4]] == [
        ("PENDING", 0), ("RUNNING", 1), ("RETRYING", 1), ("RUNNING", 2)
    ]  # fmt: skip
    assert history[-1] == {"state": "RETRYING", "at": NOW + 390, "attempt": 40, "note": "ValueError: line one line two"}


# Expiring


@pytest.mark.parametrize("state", ["PENDING", "SCHEDULED"])
def test_a_job_that_has_not_started_expires(table, running, state):
    table.change("job", state=state, expires_at=NOW)
    assert table.apply(end_expired(delivery(expires_at=NOW), NOW))["state"] == "EXPIRED"


@pytest.mark.parametrize("expires_at", [None, NOW - 1, NOW + 1])
def test_a_job_expires_by_its_own_time_alone(table, running, expires_at):
    table.change("job", state="PENDING", **({} if expires_at is None else {"expires_at": expires_at}))
    with pytest.raises(Conflict):
        table.apply(end_expired(delivery(expires_at=NOW), NOW))


def test_a_job_without_a_record_expires(table):
    expired = table.apply(end_expired(delivery(), NOW))
    assert (expired["state"], expired["task"], expired["attempt"]) == ("EXPIRED", "work", 0)


@pytest.mark.parametrize("state", [state for state in State if state not in (State.PENDING, State.SCHEDULED)])
def test_a_job_that_has_started_or_ended_does_not_expire(table, running, state):
    table.change("job", state=state.value, expires_at=NOW)
    with pytest.raises(Conflict):
        table.apply(end_expired(delivery(expires_at=NOW), NOW))


@pytest.mark.parametrize(("attempt", "expires"), [(0, True), (1, False)])
def test_a_job_whose_claim_was_released_expires_unless_it_has_started_before(table, attempt, expires):
    table.apply(claim(claim_request(delivery(expires_at=NOW))))
    table.change("job", attempt=attempt + 1)
    released = table.apply(release_claim(delivery(), NOW))
    assert (released["state"], released["attempt"]) == ("RUNNING", attempt)
    after = carried_out(end_expired(delivery(lease="next", expires_at=NOW), NOW), released)
    assert (after is not None) is expires
    if after is not None:
        assert after["state"] == "EXPIRED"
        assert State.EXPIRED in TRANSITIONS[State.RUNNING]


def test_a_job_that_runs_in_its_first_attempt_does_not_expire(table, running):
    table.change("job", attempt=0)
    assert carried_out(end_expired(delivery(), NOW), table.get("job")) is None


def test_a_job_that_was_redriven_does_not_expire(table, running):
    table.change("job", state="PENDING", redrives=1, expires_at=NOW)
    with pytest.raises(Conflict):
        table.apply(end_expired(delivery(expires_at=NOW), NOW))


# Rejecting


@dataclass(frozen=True)
class RejectedCase:
    """A message that can never run, and the record of the job that it names, which `m1` has claimed.

    Attributes:
        unreadable: The failure may be recorded when the message breaks the contract.
        readable: The same when only its payload does not fit.
        state: The record's state; None for no record.
        lease_over: The lease of the run is over.
        other_message: The message is `m2`.
        sent_after: It was sent after the job had failed.
        replaces_failed: It is a copy that replaces `m1`.
    """

    unreadable: bool
    readable: bool
    state: str | None
    lease_over: bool = False
    other_message: bool = False
    sent_after: bool = False
    replaces_failed: bool = False


def sent_later(state, *, unreadable=False, readable=False):
    """Return a case of another message, sent after the job's end."""
    return RejectedCase(unreadable, readable, state, other_message=True, sent_after=True)


REJECTED = {
    "no record": RejectedCase(unreadable=True, readable=True, state=None),
    "not started": RejectedCase(unreadable=True, readable=True, state="PENDING"),
    "delayed": RejectedCase(unreadable=True, readable=True, state="SCHEDULED"),
    "between attempts": RejectedCase(unreadable=False, readable=True, state="RETRYING"),
    "running": RejectedCase(unreadable=False, readable=False, state="RUNNING"),
    "its worker died": RejectedCase(unreadable=False, readable=True, state="RUNNING", lease_over=True),
    "succeeded": sent_later("SUCCEEDED"),
    "cancelled": sent_later("CANCELLED"),
    "expired": sent_later("EXPIRED"),
    "failed by this message": RejectedCase(unreadable=False, readable=False, state="FAILED", sent_after=True),
    "failed, a message from before": RejectedCase(unreadable=False, readable=False, state="FAILED", other_message=True),
    "failed and redriven": sent_later("FAILED", unreadable=True, readable=True),
    "failed, a copy of its message": RejectedCase(
        unreadable=False, readable=False, state="FAILED", other_message=True, sent_after=True, replaces_failed=True
    ),
}


@pytest.mark.parametrize("readable", [False, True], ids=["unreadable", "readable"])
@pytest.mark.parametrize("case", REJECTED.values(), ids=list(REJECTED))
def test_a_rejected_message_speaks_for_its_own_job_alone(table, running, case, readable):
    if case.state is None:
        table.delete("job")
    elif case.state == "RUNNING":
        table.change("job", lease_until=NOW - 1 if case.lease_over else NOW + 1)
    else:
        table.change("job", state=case.state, finished_at=NOW - 1000)
    given = delivery(
        message_id="m2" if case.other_message else "m1",
        sent_at=NOW if case.sent_after else NOW - 2000,
        replaces=("m1",) if case.replaces_failed else (),
    )
    write = end_rejected(given, {**ERROR, "attempt": 0}, NOW, readable=readable)
    if case.readable if readable else case.unreadable:
        rejected = table.apply(write)
        assert (rejected["state"], rejected["message_id"]) == ("FAILED", given.message_id)
        assert rejected["attempt"] == (0 if case.state is None else 1)
    else:
        with pytest.raises(Conflict):
            table.apply(write)
