"""A backlog of more waiting jobs than may be in flight, at a tenth of the quota: no queue stands still."""

from __future__ import annotations

import pytest

from offload.core.errors import Unavailable
from offload.core.messages.waiting import Hide
from offload.runtime import message_returns
from tests.simulation.backlog import Backlog, main

SHARE = 0.1
JOBS = 20_000


def test_a_backlog_of_waiting_jobs_does_not_come_near_the_quota():
    backlog = Backlog(JOBS, SHARE)
    backlog.work(JOBS)
    assert backlog.came_back == JOBS
    assert backlog.queues.counts("dead").visible == 0
    assert backlog.most_in_flight < backlog.expected_in_flight < backlog.quota < JOBS


def test_a_backlog_that_waits_in_flight_stands_still(monkeypatch):
    """What the first test would see, were each message hidden for as long as its job waits."""
    monkeypatch.setattr(message_returns, "way_to_wait", lambda until, now, _receives: Hide((until - now) // 1000))
    backlog = Backlog(JOBS, SHARE)
    backlog.waits = iter([7_200] * JOBS)
    with pytest.raises(Unavailable, match=f"OverLimit: queue 'q' has {backlog.quota} messages in flight"):
        backlog.work(JOBS)


def test_the_command_says_what_came_of_it(capsys):
    assert main(["--jobs", "200"]) == 0
    assert capsys.readouterr().out.startswith("jobs=200 lost=0 most_in_flight=")
