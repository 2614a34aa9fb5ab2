from __future__ import annotations

import pytest

from offload.core.jobs.state import ENDED, TRANSITIONS, State


def test_the_states_that_end_a_job():
    assert {state for state in State if state.ended} == {
        State.SUCCEEDED,
        State.FAILED,
        State.CANCELLED,
        State.EXPIRED,
    }
    assert {state for state in State if state.ended} == ENDED


def test_every_state_is_named_as_a_source_and_so_is_no_record():
    assert set(TRANSITIONS) == {None, *State}


@pytest.mark.parametrize("state", sorted(ENDED - {State.FAILED}))
def test_an_ended_state_leads_nowhere(state):
    assert TRANSITIONS[state] == {}


def test_a_failed_job_can_begin_anew_and_every_state_that_does_not_end_leads_somewhere():
    assert {State.PENDING, State.RUNNING} <= set(TRANSITIONS[State.FAILED])
    assert all(TRANSITIONS[state] for state in State if not state.ended)


def test_every_state_can_be_reached_from_no_record():
    reached: set[State | None] = {None}
    while True:
        further = reached | {after for before in reached for after in TRANSITIONS[before]}
        if further == reached:
            break
        reached = further
    assert reached == {None, *State}


def test_each_transition_says_what_causes_it():
    causes = [cause for after in TRANSITIONS.values() for cause in after.values()]
    assert all(causes)
