"""A backlog of more waiting jobs than SQS allows in flight, at SQS's own quota: no queue stands still."""

from __future__ import annotations

import random
from types import SimpleNamespace

import pytest

from offload.core.errors import Unavailable
from offload.core.messages import waiting
from offload.core.messages.waiting import Hide
from offload.core.ports import MOST_IN_FLIGHT, OutgoingMessage
from offload.memory.blobs import MemoryBlobs
from offload.memory.clock import VirtualClock
from offload.memory.queues import DAY_SECONDS, MemoryQueues
from offload.memory.timers import MemoryTimers
from offload.runtime import message_returns
from offload.runtime.copies import Copies
from offload.runtime.invocation import Invocation
from offload.runtime.message_returns import MessageReturns
from offload.runtime.outcomes import BatchAnswer, ReturnToQueue

JOBS = 200_000
RECEIVED_A_SECOND = 1_000
WAITS = (30, 300, 600, 7_200)
"""Seconds that a job waits for its next attempt, a rate limit, or another worker's lease."""


class Backlog:
    """Jobs that each wait once, and workers that do no more than return their messages."""

    def __init__(self, jobs):
        self.clock = VirtualClock()
        self.queues = MemoryQueues(self.clock, random.Random(1))
        self.queues.create("dead", retention=14 * DAY_SECONDS)
        self.queues.create("q", dead_letter="dead", max_receives=waiting.MAX_RECEIVES, retention=7 * DAY_SECONDS)
        timers = MemoryTimers(self.clock, self.queues)
        copies = Copies("task", self.queues, timers, MemoryBlobs(), self.clock)
        self.returns = MessageReturns(self.queues, copies, self.clock, random.Random(2), soft_limit=60)
        context = SimpleNamespace(get_remaining_time_in_millis=lambda: 600_000)
        self.invocation = Invocation(context, clock=self.clock, rng=random.Random(3))
        self.waits = iter(random.Random(4).choices(WAITS, k=jobs))
        self.came_back = self.most_in_flight = 0
        self.due = {}
        for number in range(jobs):
            self.queues.send("q", OutgoingMessage(f'{{"id":"{number}","payload":{{}}}}'))

    def work(self, jobs):
        """Receive, as Lambda's pollers do, until each job has waited and come back."""
        while self.came_back < jobs:
            batch = self.queues.receive("q", limit=10, visibility=360)
            for message in batch:
                self.handle(message)
            self.most_in_flight = max(self.most_in_flight, self.queues.counts("q").in_flight)
            if batch:
                self.clock.advance(10 / RECEIVED_A_SECOND)
            else:
                self.clock.advance_to(self.next_moment())

    def next_moment(self):
        moments = (self.queues.first_visible_at("q"), self.clock.next_due())
        return max(self.clock.now() + 1, min(moment for moment in moments if moment is not None))

    def handle(self, message):
        job = message.body.partition('"id":"')[2].partition('"')[0]
        now = self.clock.now()
        if job not in self.due:
            self.due[job] = now + next(self.waits) * 1000
        due = self.due[job]
        if now < due:
            if self.returns.carry_out(ReturnToQueue(due, "waits"), message, self.invocation) is BatchAnswer.DONE:
                self.queues.delete("q", message.receipt)
            return
        self.came_back += 1
        self.queues.delete("q", message.receipt)


def test_a_backlog_of_waiting_jobs_does_not_come_near_the_quota():
    backlog = Backlog(JOBS)
    backlog.work(JOBS)
    assert backlog.came_back == JOBS
    assert backlog.queues.counts("dead").visible == 0
    # What waits for less than a minute is in flight, as far as it is received within a minute.
    assert backlog.most_in_flight < 60 * RECEIVED_A_SECOND < MOST_IN_FLIGHT


def test_a_backlog_that_waits_in_flight_stands_still(monkeypatch):
    """What the first test would see, were each message hidden for as long as its job waits."""
    monkeypatch.setattr(message_returns, "way_to_wait", lambda until, now, _receives: Hide((until - now) // 1000))
    jobs = MOST_IN_FLIGHT + 1_000
    backlog = Backlog(jobs)
    backlog.waits = iter([7_200] * jobs)
    with pytest.raises(Unavailable, match=f"OverLimit: queue 'q' has {MOST_IN_FLIGHT} messages in flight"):
        backlog.work(jobs)
