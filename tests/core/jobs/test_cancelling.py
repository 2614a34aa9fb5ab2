from __future__ import annotations

import pytest

from offload.core.jobs.cancelling import cancel_unrecorded, cancel_waiting, request_cancel
from offload.core.jobs.claiming import claim
from offload.core.jobs.state import State
from offload.core.retention import LONGEST_DELAY
from offload.core.writes import Conflict
from tests.core.deliveries import NOW, claim_request, delivery, table_with

WAITING = [State.PENDING, State.SCHEDULED, State.RETRYING]


@pytest.fixture
def table():
    return table_with(None)


@pytest.fixture
def running(table):
    """The record of a job that runs."""
    return table.apply(claim(claim_request(delivery())))


@pytest.mark.parametrize("state", WAITING)
def test_a_cancel_ends_what_waits(table, running, state):
    table.change("job", state=state.value, next_at=NOW, timer_until=NOW, idx="i", idx_at=1)
    after = table.apply(cancel_waiting("job", NOW))
    assert (after["state"], after["finished_at"], after["ttl"]) == ("CANCELLED", NOW, running["ttl"])
    assert not {"next_at", "timer_until", "idx", "idx_at"} & set(after)


@pytest.mark.parametrize("state", [state for state in State if state not in WAITING])
def test_a_cancel_asks_what_runs_and_leaves_what_has_ended(table, running, state):
    table.change("job", state=state.value)
    with pytest.raises(Conflict) as conflict:
        table.apply(cancel_waiting("job", NOW))
    write = request_cancel(conflict.value.item, NOW)
    assert (write is not None) is (state is State.RUNNING)


def test_a_cancel_finds_no_record(table):
    with pytest.raises(Conflict) as conflict:
        table.apply(cancel_waiting("job", NOW))
    assert conflict.value.item is None


def test_a_request_reaches_the_run_that_it_was_meant_for(table, running):
    write = request_cancel(running, NOW)
    assert table.apply(write)["cancel_requested_at"] == NOW
    table.change("job", lease="theirs")
    with pytest.raises(Conflict):
        table.apply(write)


def test_the_first_request_counts(running):
    asked = {**running, "cancel_requested_at": NOW - 7}
    assert request_cancel(asked, NOW).set["cancel_requested_at"] == NOW - 7


def test_a_job_without_a_record_is_cancelled_for_longer_than_any_delay(table):
    after = table.apply(cancel_unrecorded("work", "job", NOW))
    assert (after["state"], after["task"], after["attempt"]) == ("CANCELLED", "work", 0)
    assert after["ttl"] > NOW // 1000 + LONGEST_DELAY
    with pytest.raises(Conflict):
        table.apply(cancel_unrecorded("work", "job", NOW))
