"""The faults that `mutants` plants, one at a time: what somebody might well write who does not know why it is so.

A fault names its place as an object of the library and says by meaning what is changed there, so that a rename, a new
format or a moved line does not break it; see `edits` and `selecting`.
"""

from __future__ import annotations

from tests.simulation.planted import (
    ages,
    by_hand,
    by_name,
    claiming,
    ending,
    enqueueing,
    following,
    hooks,
    ids,
    limits,
    producing,
    requests,
    returning,
    runs,
    security,
    testing,
)

MUTANTS = (
    *ages.MUTANTS,
    *claiming.MUTANTS,
    *ending.MUTANTS,
    *following.MUTANTS,
    *returning.MUTANTS,
    *enqueueing.MUTANTS,
    *by_hand.MUTANTS,
    *ids.MUTANTS,
    *limits.MUTANTS,
    *hooks.MUTANTS,
    *runs.MUTANTS,
    *producing.MUTANTS,
    *by_name.MUTANTS,
    *requests.MUTANTS,
    *security.MUTANTS,
    *testing.MUTANTS,
)
