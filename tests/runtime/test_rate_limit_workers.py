"""A rate limit under many workers: the limit's item takes a thousand writes a second, and is asked for no more."""

from __future__ import annotations

import itertools
import random
from collections import Counter

import pytest

from offload import RateLimit
from offload.core.errors import Unavailable
from offload.core.flow.rate_limit import HORIZON_MS
from offload.core.jobs.claiming import ClaimRequest
from offload.memory.table import MemoryTable
from offload.runtime.rate_limiter import take_slot
from offload.testing.green_threads import GreenThreads
from tests.core.deliveries import delivery

REQUEST = 0.005
"""Seconds that a request takes."""

WRITES_A_SECOND = 1_000
ATTEMPTS = 5


class Store:
    """A job table whose requests take their time, and whose items take a thousand writes a second each."""

    def __init__(self, clock, rng):
        self.clock, self.rng, self.table = clock, rng, MemoryTable(clock)
        self.left, self.at = WRITES_A_SECOND, clock.now()
        self.throttled = 0

    def get(self, key):
        self.clock.sleep(REQUEST)
        return self.table.get(key)

    def apply(self, write):
        for attempt in range(ATTEMPTS):
            self.clock.sleep(REQUEST)
            if not write.id.startswith("rate#") or self._takes():
                return self.table.apply(write)
            self.throttled += 1
            self.clock.sleep(self.rng.uniform(0, 0.05 * 2**attempt))
        raise Unavailable("throttled")

    def _takes(self):
        now = self.clock.now()
        self.left = min(WRITES_A_SECOND, self.left + (now - self.at) * WRITES_A_SECOND / 1000)
        self.at = now
        self.left -= self.left >= 1
        return self.left >= 1


class Workers:
    """Workers that begin within a second, and receive jobs that have not waited before."""

    def __init__(self, rate):
        self.limit = RateLimit(rate)
        self.clock, self.rng = GreenThreads(), random.Random(1)
        self.store = Store(self.clock, self.rng)
        self.ids = itertools.count()
        self.outcomes, self.slots = Counter(), []

    def work(self, workers, jobs):
        for _ in range(workers):
            self.clock.start(lambda: self._receive(jobs), after=self.rng.uniform(0, 1))
        self.clock.advance(3600)
        return self

    def _receive(self, jobs):
        for _ in range(jobs):
            request = ClaimRequest(delivery()._replace(job_id=f"job-{next(self.ids)}"), self.clock.now(), 0, 3)
            self.clock.sleep(REQUEST)  # the job's record is read
            try:
                slot = take_slot(request, None, self.limit, self.store, spare_ms=HORIZON_MS, draw=self.rng.random())
            except Unavailable:
                self.outcomes["unavailable"] += 1
                continue
            if isinstance(slot, int):
                self.slots.append(slot)
                self.clock.sleep(max(0, slot - self.clock.now()) / 1000)
            else:
                self.clock.sleep(3 * REQUEST)  # its message goes back
            self.outcomes["started" if isinstance(slot, int) else "waits"] += 1


@pytest.mark.parametrize("rate", ["1/m", "50/s"])
def test_a_thousand_workers_that_begin_in_one_second_do_not_throttle_the_item(rate):
    workers = Workers(rate).work(1_000, 6)

    assert workers.store.throttled == 0
    assert set(workers.outcomes) == {"started", "waits"}
    # Those of the rear, without those of the front, are counted to about a twentieth.
    item = workers.store.table.item("rate#work")
    front = (item["line"] - item["tat"]) // item["interval"]
    assert item["joined"] == pytest.approx(workers.outcomes["waits"] - front, rel=0.12)


def test_the_highest_rate_takes_as_many_workers_as_it_keeps_busy():
    workers = Workers("300/s").work(300, 4)

    assert workers.store.throttled == 0
    assert workers.outcomes == {"started": 1_200}
    assert len(set(workers.slots)) == 1_200
