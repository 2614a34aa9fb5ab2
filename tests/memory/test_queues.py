"""What the twin has beyond the contract: SQS's rules over days, and a look inside."""

from __future__ import annotations

import random

import pytest

from offload.core.errors import Refused, Unavailable
from offload.core.ports import OutgoingMessage, QueueCounts
from offload.memory.clock import VirtualClock
from offload.memory.queues import DAY_SECONDS, MemoryQueues
from offload.memory.timers import MemoryTimers

HOUR = 3600


@pytest.fixture
def clock():
    return VirtualClock()


@pytest.fixture
def queues(clock):
    made = MemoryQueues(clock, random.Random(1))
    made.create("dead", retention=14 * DAY_SECONDS)
    made.create("q", dead_letter="dead", max_receives=2)
    return made


def take(queues, name="q", visibility=30, wait=0):
    return queues.receive(name, limit=10, visibility=visibility, wait=wait)


def test_the_same_seed_gives_the_same_ids(clock, queues):
    twin = MemoryQueues(clock, random.Random(1))
    twin.create("q")
    assert queues.send("q", OutgoingMessage("a")) == twin.send("q", OutgoingMessage("a"))


def test_a_message_is_kept_for_its_retention_and_no_longer(clock, queues):
    queues.send("q", OutgoingMessage("a"))
    clock.advance(4 * DAY_SECONDS - 1)
    assert queues.counts("q").visible == 1
    clock.advance(1)
    assert queues.counts("q") == QueueCounts(0, 0, 0)
    assert take(queues) == []


def test_the_age_goes_on_in_the_dead_letter_queue(clock, queues):
    queues.send("q", OutgoingMessage("a"))
    for _ in range(3):
        take(queues, visibility=0)
    clock.advance(14 * DAY_SECONDS - 1)
    assert queues.counts("dead").visible == 1
    clock.advance(1)
    assert queues.counts("dead").visible == 0


def test_a_wait_advances_the_clock_to_what_comes_and_no_further(clock, queues):
    start = clock.now()
    queues.send("q", OutgoingMessage("a", delay=7))
    assert len(take(queues, wait=20)) == 1
    assert clock.now() == start + 7000
    assert take(queues, wait=5, visibility=30) == []
    assert clock.now() == start + 12_000


def test_a_wait_sees_a_timer_fire(clock, queues):
    MemoryTimers(clock, queues).send_at("t", "q", "late", clock.now() + 3000)
    assert [message.body for message in take(queues, wait=20)] == ["late"]


def test_visibility_lasts_twelve_hours_from_the_receive_at_most(clock, queues):
    queues.send("q", OutgoingMessage("a"))
    (message,) = take(queues, visibility=12 * HOUR)
    clock.advance(HOUR)
    with pytest.raises(Refused, match="12 hours"):
        queues.change_visibility("q", message.receipt, 11 * HOUR + 1)
    queues.change_visibility("q", message.receipt, 11 * HOUR)
    clock.advance(11 * HOUR)
    assert len(take(queues)) == 1


def test_a_receipt_is_out_of_force_when_the_message_is_visible_or_received_again(clock, queues):
    queues.send("q", OutgoingMessage("a"))
    (first,) = take(queues, visibility=10)
    clock.advance(10)
    with pytest.raises(Refused):
        queues.change_visibility("q", first.receipt, 5)
    (second,) = take(queues, visibility=10)
    queues.delete("q", first.receipt)
    assert queues.counts("q").in_flight == 1
    with pytest.raises(Refused):
        queues.change_visibility("q", first.receipt, 5)
    queues.delete("q", second.receipt)
    assert queues.counts("q") == QueueCounts(0, 0, 0)


def test_a_visible_message_can_still_be_deleted_by_its_last_receipt(clock, queues):
    queues.send("q", OutgoingMessage("a"))
    (message,) = take(queues, visibility=10)
    clock.advance(11)
    queues.delete("q", message.receipt)
    assert take(queues) == []


def test_a_receipt_of_the_source_says_nothing_in_the_dead_letter_queue(queues):
    queues.send("q", OutgoingMessage("a"))
    take(queues, visibility=0)
    (last,) = take(queues, visibility=0)
    assert take(queues) == []
    queues.delete("dead", last.receipt)
    assert [message.source for message in queues.messages("dead")] == ["q"]


def test_a_redrive_brings_messages_back_as_new_ones(clock, queues):
    sent = queues.send("q", OutgoingMessage("a", group="tenant"))
    for _ in range(3):
        take(queues, visibility=0)
    clock.advance(60)
    queues.redrive("dead")
    assert queues.messages("dead") == []
    (stored,) = queues.messages("q")
    assert (stored.body, stored.group, stored.sent_at, stored.receives) == ("a", "tenant", clock.now(), 0)
    assert stored.message_id != sent
    assert queues.messages("dead") == []
    queues.redrive("dead")


def test_a_message_sent_to_a_dead_letter_queue_by_hand_cannot_be_redriven(queues):
    queues.send("dead", OutgoingMessage("a"))
    with pytest.raises(Refused, match="CouldNotDetermineMessageSource"):
        queues.redrive("dead")


def test_a_dead_letter_queue_must_exist_first(clock):
    with pytest.raises(Refused, match="'nowhere' does not exist"):
        MemoryQueues(clock, random.Random(1)).create("q", dead_letter="nowhere")


def test_what_lies_in_a_queue_is_shown_as_copies_and_can_be_purged(queues):
    queues.send("q", OutgoingMessage("a", delay=5))
    queues.messages("q")[0].body = "changed"
    assert [message.body for message in queues.messages("q")] == ["a"]
    assert queues.names() == ["dead", "q"]
    queues.purge("q")
    assert queues.messages("q") == []


def test_a_full_queue_gives_nothing_until_a_message_leaves_it(clock, queues):
    queues.most_in_flight = 2
    for body in "abc":
        queues.send("q", OutgoingMessage(body))
    first, second = take(queues)
    with pytest.raises(Unavailable, match="OverLimit: queue 'q' has 2 messages in flight"):
        take(queues)
    assert queues.counts("q") == QueueCounts(1, 2, 0)
    assert queues.first_visible_at("q") == clock.now() + 30_000, "the queue stands still until then"
    assert take(queues, wait=5) == [], "a receive that waits is told nothing"
    queues.delete("q", first.receipt)
    assert [message.body for message in take(queues)] == ["c"]
    queues.change_visibility("q", second.receipt, 0)
    assert [message.body for message in take(queues)] == ["b"]


def test_a_full_queue_wakes_up_by_itself(clock, queues):
    queues.most_in_flight = 1
    queues.send("q", OutgoingMessage("a"))
    queues.send("q", OutgoingMessage("b"))
    take(queues, visibility=10)
    start = clock.now()
    assert len(take(queues, wait=20)) == 1
    assert clock.now() == start + 10_000


def test_messages_that_are_delayed_are_not_in_flight(queues):
    queues.most_in_flight = 1
    for _ in range(5):
        queues.send("q", OutgoingMessage("late", delay=900))
    queues.send("q", OutgoingMessage("now"))
    assert [message.body for message in take(queues)] == ["now"]


def test_a_message_that_comes_to_the_dead_letter_queue_is_told(queues):
    seen = []
    queues.on_moved = lambda queue, message: seen.append((queue, message.body, message.source))
    queues.send("q", OutgoingMessage("a"))
    for _ in range(3):
        take(queues, visibility=0)
    assert seen == [("dead", "a", "q")]


def test_one_request_receives_a_message_once(queues):
    queues.send("q", OutgoingMessage("a"))
    assert len(take(queues, visibility=0)) == 1
