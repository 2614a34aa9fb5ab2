from __future__ import annotations

import random

import pytest

from offload.core.errors import Refused
from offload.core.ports import LARGEST_TIMED
from offload.memory.clock import VirtualClock
from offload.memory.queues import MemoryQueues
from offload.memory.timers import MemoryTimers


@pytest.fixture
def parts():
    clock = VirtualClock()
    queues = MemoryQueues(clock, random.Random(1))
    queues.create("q")
    return clock, queues, MemoryTimers(clock, queues)


def test_a_timer_fires_at_its_time_and_frees_its_name(parts):
    clock, queues, timers = parts
    at = clock.now() + 30 * 86_400_000
    timers.send_at("job", "q", "one", at)
    timers.send_at("job", "q", "ignored", at + 1)
    assert timers.waiting() == {"job": at}
    clock.advance_to(at - 1)
    assert queues.messages("q") == []
    clock.advance_to(at)
    assert [(message.body, message.sent_at) for message in queues.messages("q")] == [("one", at)]
    assert timers.waiting() == {}
    timers.send_at("job", "q", "two", at + 1000)
    clock.advance(5)
    assert [message.body for message in queues.messages("q")] == ["one", "two"]


def test_a_time_that_has_passed_fires_on_the_next_advance(parts):
    clock, queues, timers = parts
    timers.send_at("job", "q", "late", clock.now() - 1)
    clock.advance(0)
    assert len(queues.messages("q")) == 1


def test_a_body_scheduler_does_not_take_is_refused(parts):
    _, _, timers = parts
    with pytest.raises(Refused):
        timers.send_at("job", "q", "x" * (LARGEST_TIMED + 1), 0)


@pytest.mark.parametrize("name", ["", "job:1", "job@1", "x" * 65])
def test_a_name_that_scheduler_refuses_is_refused(parts, name):
    _, _, timers = parts
    with pytest.raises(Refused, match="no name of a schedule"):
        timers.send_at(name, "q", "{}", 0)
