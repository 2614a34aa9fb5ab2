from __future__ import annotations

import random

import pytest

from offload import DefinitionError, RateLimit
from offload.core.flow.line import Standing
from offload.core.flow.rate_limit import HORIZON_MS, IDLE_MS, Join, Recount, Slot, Stand, next_step, slot_of
from offload.core.writes import Write, holds
from offload.memory.clock import VirtualClock
from offload.memory.table import MemoryTable


def carried_out(write, item):
    """The item after a write, which is as it was before."""
    table = MemoryTable(VirtualClock())
    if item is not None:
        table.apply(Write(write.id, set={name: value for name, value in item.items() if name != "id"}))
    return table.apply(write)


@pytest.mark.parametrize(("rate", "interval"), [("10/m", 6), ("1/s", 1), ("0.5/s", 2), ("1/d", 86_400), (" 60/h ", 60)])
def test_the_interval_of_a_rate(rate, interval):
    assert RateLimit(rate).interval() == interval


@pytest.mark.parametrize(
    ("rate", "burst", "said"),
    [
        ("10", 1, "rate='10'"),
        ("0/m", 1, "rate='0/m'"),
        ("10/w", 1, "rate='10/w'"),
        (10, 1, "rate=10"),
        ("301/s", 1, "to '300/s'"),
        ("100000/m", 1, "rate='100000/m'"),
        ("0.002/d", 1, "from '0.0027/d'"),
        ("1/s", 0, "burst=0"),
        ("1/s", True, "burst=True"),
    ],
)
def test_a_wrong_limit_is_named(rate, burst, said):
    with pytest.raises(DefinitionError) as refused:
        RateLimit(rate, burst=burst)
    assert said in str(refused.value)


@pytest.mark.parametrize("rate", ["300/s", "18000/m", "0.003/d"])
def test_a_limit_at_the_bounds(rate):
    assert RateLimit(rate).interval() > 0


def test_each_start_at_the_highest_rate_is_an_interval_after_the_one_before():
    limit, now = RateLimit("300/s"), 10**12
    item, slots = None, []
    for _ in range(900):
        step = next_step(item, "work", limit, now, standing=Standing(), horizon_ms=HORIZON_MS, draw=0.5)
        assert isinstance(step, Slot)
        item = carried_out(step.write, item)
        slots.append(slot_of(item, limit))
    assert slots[-1] - slots[0] >= 899 / 300 * 1000


# The item is counted anew when a deployment has changed the rate


@pytest.mark.parametrize(
    ("before", "after", "tat", "moved"),
    [("1/h", "1/s", 3_600, 1), ("1/s", "1/h", 1, 3_600), ("10/s", "5/s", 3, 6), ("1/m", "2/m", 30, 15)],
)
def test_what_was_started_counts_on_at_the_new_rate(before, after, tat, moved):
    now = 10**12
    item = {"tat": now * 1000 + tat * 10**6, "interval": int(RateLimit(before).interval() * 10**6)}

    step = next_step(item, "work", RateLimit(after), now, standing=Standing(), horizon_ms=HORIZON_MS, draw=0.5)

    assert isinstance(step, Recount)
    after_it = carried_out(step.write, item)
    assert after_it["tat"] - now * 1000 == moved * 10**6
    assert not isinstance(
        next_step(after_it, "work", RateLimit(after), now, standing=Standing(), horizon_ms=HORIZON_MS, draw=0.5),
        Recount,
    )


def test_a_worker_with_the_old_rate_does_not_take_a_slot_by_the_new_one():
    now, old, new = 10**12, RateLimit("1/m"), RateLimit("1/s")
    item = {"tat": now * 1000 + 10**6, "interval": 10**6}
    step = next_step(item, "work", new, now, standing=Standing(), horizon_ms=HORIZON_MS, draw=0.5)
    assert isinstance(step, Slot)

    recounted = carried_out(
        next_step(item, "work", old, now, standing=Standing(), horizon_ms=HORIZON_MS, draw=0.5).write, item
    )

    assert not holds(step.write.when, recounted)


# Who goes on


def test_a_slot_that_nobody_has_come_for_is_anybodys():
    now, limit = 10**12, RateLimit("1/m")
    item = {"tat": now * 1000 - 1, "interval": 60 * 10**6, "line": now * 1000 + 10**9, "joined": 5}
    first = next_step(item, "work", limit, now, standing=Standing(), horizon_ms=HORIZON_MS, draw=0.5)
    later = next_step(item, "work", limit, now + IDLE_MS + 1, standing=Standing(), horizon_ms=HORIZON_MS, draw=0.5)
    assert isinstance(first, Join)
    assert isinstance(later, Slot)
    assert holds(later.write.when, item)


# A long rear is counted by few


@pytest.mark.parametrize(
    ("waiting", "draw", "step"),
    [
        (399, 0.99, 1),
        (400, 0.49, 2),
        (400, 0.5, "stands"),
        (20_000, 0.009, 100),
        (20_000, 0.011, "stands"),
    ],
)
def test_of_a_long_rear_one_job_in_so_many_is_counted_for_as_many(waiting, draw, step):
    now = 10**12
    item = {"tat": now * 1000 + 10**9, "interval": 6 * 10**7, "line": now * 1000 + 10**10, "joined": waiting + 7}
    item |= {"head": 7, "left": 7}
    made = next_step(item, "work", RateLimit("1/m"), now, standing=Standing(), horizon_ms=HORIZON_MS, draw=draw)
    if step == "stands":
        assert isinstance(made, Stand)
        assert item["joined"] < made.number <= item["joined"] + waiting // 200
    else:
        assert isinstance(made, Join)
        assert made.write.add == {"joined": step}


def test_the_count_of_a_long_rear_is_right_to_a_tenth_and_costs_few_writes():
    now, draws = 10**12, random.Random(3)
    item = {"id": "rate#work", "tat": now * 1000 + 10**9, "interval": 6 * 10**7, "line": now * 1000 + 10**10}
    writes = 0
    for _ in range(20_000):
        step = next_step(
            item, "work", RateLimit("1/m"), now, standing=Standing(), horizon_ms=HORIZON_MS, draw=draws.random()
        )
        if isinstance(step, Join):
            item["joined"] = item.get("joined", 0) + step.write.add["joined"]
            writes += 1
    assert item["joined"] == pytest.approx(20_000, rel=0.1)
    assert writes < 1_600
