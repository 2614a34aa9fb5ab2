from __future__ import annotations

from offload.memory.clock import START, VirtualClock


def test_time_stands_still_until_it_is_advanced():
    clock = VirtualClock()
    assert clock.now() == clock.now() == START
    clock.sleep(1.5)
    assert clock.now() == START + 1500
    clock.advance_to(START)
    assert clock.now() == START + 1500


def test_what_is_due_happens_in_order_each_at_its_time():
    clock, seen = VirtualClock(0), []
    for moment in (3000, 1000, 2000, 1000, 9000):
        clock.call_at(moment, lambda moment=moment: seen.append((moment, clock.now())))
    assert clock.next_due() == 1000
    clock.advance(5)
    assert seen == [(1000, 1000), (1000, 1000), (2000, 2000), (3000, 3000)]
    assert clock.now() == 5000
    assert clock.next_due() == 9000


def test_an_action_may_plan_another_within_the_same_advance():
    clock, seen = VirtualClock(0), []

    def first():
        clock.call_at(clock.now() + 1000, lambda: seen.append(clock.now()))

    clock.call_at(1000, first)
    clock.advance(3)
    assert seen == [2000]
    assert clock.next_due() is None


def test_what_is_due_already_happens_on_the_next_advance():
    clock, seen = VirtualClock(5000), []
    clock.call_at(1000, lambda: seen.append(clock.now()))
    clock.advance(0)
    assert seen == [5000]
