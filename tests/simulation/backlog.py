"""`make backlog`: more waiting jobs than SQS allows in flight, at SQS's own quota. No queue may stand still.

Prints the most messages that were in flight at once. Exits 1 when they came near the quota, or a job was lost.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from types import SimpleNamespace

from offload.core.messages import waiting
from offload.core.ports import MOST_IN_FLIGHT, OutgoingMessage
from offload.memory.blobs import MemoryBlobs
from offload.memory.clock import VirtualClock
from offload.memory.queues import DAY_SECONDS, MemoryQueues
from offload.memory.timers import MemoryTimers
from offload.runtime.copies import Copies
from offload.runtime.invocation import Invocation
from offload.runtime.message_returns import MessageReturns
from offload.runtime.outcomes import BatchAnswer, ReturnToQueue

JOBS = 200_000
RECEIVED_A_SECOND = 1_000
"""What pollers receive at the real quota; a smaller quota comes with fewer."""
WAITS = (30, 300, 600, 7_200)
"""Seconds that a job waits for its next attempt, a rate limit, or another worker's lease."""


class Backlog:
    """Jobs that each wait once, and workers that do no more than return their messages.

    Args:
        jobs: How many.
        share: Share of SQS's quota of messages in flight, and of the receives, that there is.
    """

    def __init__(self, jobs, share=1.0):
        self.clock = VirtualClock()
        self.queues = MemoryQueues(self.clock, random.Random(1))
        self.quota = self.queues.most_in_flight = round(MOST_IN_FLIGHT * share)
        self.received_a_second = RECEIVED_A_SECOND * share
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
                self.clock.advance(10 / self.received_a_second)
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

    @property
    def expected_in_flight(self):
        """What waits for less than a minute is in flight, as far as it is received within a minute."""
        return 60 * self.received_a_second


def main(arguments):
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="make backlog", description=__doc__)
    parser.add_argument("--jobs", type=int, default=JOBS, help="how many jobs wait [default: %(default)s]")
    given = parser.parse_args(arguments)
    began, backlog = time.monotonic(), Backlog(given.jobs)
    backlog.work(given.jobs)
    lost = given.jobs - backlog.came_back + backlog.queues.counts("dead").visible
    print(
        f"jobs={given.jobs} lost={lost} most_in_flight={backlog.most_in_flight} of {backlog.quota} "
        f"({time.monotonic() - began:.0f} s)"
    )
    return 1 if lost or backlog.most_in_flight >= backlog.expected_in_flight else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
