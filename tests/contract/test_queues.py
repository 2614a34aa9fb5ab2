"""What every `Queues` does, in the same words and with the same errors."""

from __future__ import annotations

import pytest

from offload.core.errors import Refused
from offload.core.ports import OutgoingMessage, QueueCounts

MIB = 1_048_576


def receive(world, queue, *, limit=10, visibility=30, wait=0):
    return world.queues.receive(queue, limit=limit, visibility=visibility, wait=wait)


def test_a_message_is_received_as_it_was_sent(world):
    queue = world.queue()
    before = world.clock.now()
    body = '{"payload": {"text": "Grüße \U0001f680"}}'
    sent = world.queues.send(queue, OutgoingMessage(body))
    (message,) = receive(world, queue)
    assert (message.message_id, message.body, message.receives) == (sent, body, 1)
    assert before - 1000 <= message.sent_at <= message.first_received_at <= world.clock.now() + 1000


def test_a_received_message_is_hidden_then_comes_again_with_a_new_receipt(world):
    queue = world.queue()
    world.queues.send(queue, OutgoingMessage("x"))
    (first,) = receive(world, queue, visibility=1)
    assert receive(world, queue) == []
    world.clock.sleep(1.1)
    (second,) = receive(world, queue)
    assert second.message_id == first.message_id
    assert second.receipt != first.receipt
    assert second.receives == 2
    assert second.first_received_at == first.first_received_at
    assert second.sent_at == first.sent_at


def test_a_deleted_message_is_gone_and_deleting_it_again_is_fine(world):
    queue = world.queue()
    world.queues.send(queue, OutgoingMessage("x"))
    (message,) = receive(world, queue, visibility=1)
    world.queues.delete(queue, message.receipt)
    world.queues.delete(queue, message.receipt)
    world.clock.sleep(1.1)
    assert receive(world, queue) == []
    assert world.queues.counts(queue) == QueueCounts(0, 0, 0)


def test_visibility_zero_brings_a_message_back_at_once(world):
    queue = world.queue()
    world.queues.send(queue, OutgoingMessage("x"))
    (message,) = receive(world, queue, visibility=3600)
    world.queues.change_visibility(queue, message.receipt, 0)
    world.clock.sleep(0.01)
    assert [again.receives for again in receive(world, queue)] == [2]


def test_visibility_counts_from_the_change(world):
    queue = world.queue()
    world.queues.send(queue, OutgoingMessage("x"))
    (message,) = receive(world, queue, visibility=1)
    world.queues.change_visibility(queue, message.receipt, 2)
    world.clock.sleep(1.2)
    assert receive(world, queue) == []
    world.clock.sleep(1)
    assert len(receive(world, queue)) == 1


@pytest.mark.parametrize("seconds", [43_201, -1])
def test_a_visibility_beyond_twelve_hours_or_below_zero_is_refused(world, seconds):
    queue = world.queue()
    world.queues.send(queue, OutgoingMessage("x"))
    (message,) = receive(world, queue)
    with pytest.raises(Refused):
        world.queues.change_visibility(queue, message.receipt, seconds)


def test_the_visibility_of_a_deleted_message_cannot_be_changed(world):
    queue = world.queue()
    world.queues.send(queue, OutgoingMessage("x"))
    (message,) = receive(world, queue)
    world.queues.delete(queue, message.receipt)
    with pytest.raises(Refused):
        world.queues.change_visibility(queue, message.receipt, 0)


def test_a_delayed_message_waits(world):
    queue = world.queue()
    world.queues.send(queue, OutgoingMessage("x", delay=1))
    assert receive(world, queue) == []
    assert world.queues.counts(queue) == QueueCounts(visible=0, in_flight=0, delayed=1)
    world.clock.sleep(1.1)
    assert len(receive(world, queue)) == 1


def test_a_receive_can_wait_for_what_comes(world):
    queue = world.queue()
    world.queues.send(queue, OutgoingMessage("x", delay=1))
    assert [message.body for message in receive(world, queue, wait=5)] == ["x"]


def test_counts_tell_visible_from_in_flight(world):
    queue = world.queue()
    world.queues.send_batch(queue, [OutgoingMessage("a"), OutgoingMessage("b"), OutgoingMessage("c")])
    receive(world, queue, limit=1)
    assert world.queues.counts(queue) == QueueCounts(visible=2, in_flight=1, delayed=0)


def test_a_message_received_too_often_moves_to_the_dead_letter_queue_as_it_was(world):
    dead = world.queue()
    queue = world.queue(dead_letter=dead, max_receives=2)
    sent = world.queues.send(queue, OutgoingMessage("x"))
    for receives in (1, 2):
        (message,) = receive(world, queue, visibility=3600)
        assert message.receives == receives
        assert receive(world, dead) == []
        world.queues.change_visibility(queue, message.receipt, 0)
        world.clock.sleep(0.01)
    assert receive(world, queue) == []
    (moved,) = receive(world, dead)
    assert (moved.message_id, moved.body, moved.sent_at) == (sent, "x", message.sent_at)
    assert moved.receipt != message.receipt
    assert world.queues.counts(queue) == QueueCounts(0, 0, 0)


def test_a_receive_takes_no_more_than_its_limit(world):
    queue = world.queue()
    outcomes = world.queues.send_batch(queue, [OutgoingMessage(str(number)) for number in range(12)])
    assert len(set(outcomes)) == 12
    assert len(receive(world, queue, limit=3)) == 3
    assert len(receive(world, queue, limit=10)) == 9


def test_a_batch_answers_for_each_entry_in_order(world):
    queue = world.queue()
    outcomes = world.queues.send_batch(
        queue,
        [
            OutgoingMessage("a"),
            OutgoingMessage("y" * (MIB + 1)),
            OutgoingMessage("b", group="tenant-1"),
            OutgoingMessage("late", delay=901),
            OutgoingMessage("c", delay=1),
        ],
    )
    assert [isinstance(outcome, Refused) for outcome in outcomes] == [False, True, False, True, False]
    got = {message.message_id: message.body for message in receive(world, queue)}
    assert got == {outcomes[0]: "a", outcomes[2]: "b"}
    world.clock.sleep(1.1)
    assert [message.message_id for message in receive(world, queue)] == [outcomes[4]]


def test_a_batch_may_be_larger_than_one_request(world):
    queue = world.queue()
    big = "x" * 400_000
    outcomes = world.queues.send_batch(queue, [OutgoingMessage(f"{number}{big}") for number in range(4)])
    assert all(isinstance(outcome, str) for outcome in outcomes)
    got = {}
    for _ in range(4):
        got |= {message.message_id: message.body[0] for message in receive(world, queue)}
    assert got == {outcome: str(number) for number, outcome in enumerate(outcomes)}


def test_an_empty_batch_is_nothing(world):
    assert world.queues.send_batch(world.queue(), []) == []


def test_a_batch_to_a_queue_that_is_not_there_refuses_each_entry(world):
    outcomes = world.queues.send_batch("no-such-queue", [OutgoingMessage("a"), OutgoingMessage("b")])
    assert [isinstance(outcome, Refused) for outcome in outcomes] == [True, True]


@pytest.mark.parametrize(
    "message",
    [OutgoingMessage("x" * (MIB + 1)), OutgoingMessage(""), OutgoingMessage("x", delay=901)],
    ids=["too-large", "empty", "delayed-too-long"],
)
def test_a_message_out_of_range_is_refused(world, message):
    queue = world.queue()
    with pytest.raises(Refused):
        world.queues.send(queue, message)
    assert world.queues.counts(queue) == QueueCounts(0, 0, 0)


def test_a_message_of_one_mebibyte_is_accepted(world):
    queue = world.queue()
    world.queues.send(queue, OutgoingMessage("x" * MIB))
    (message,) = receive(world, queue)
    assert len(message.body) == MIB


def test_a_purge_leaves_nothing_hidden_or_not(world):
    queue = world.queue()
    world.queues.send_batch(queue, [OutgoingMessage("a"), OutgoingMessage("b"), OutgoingMessage("c", delay=60)])
    receive(world, queue, limit=1)
    world.queues.purge(queue)
    assert world.queues.counts(queue) == QueueCounts(0, 0, 0)


def test_a_queue_that_is_not_there_refuses_everything(world):
    name = "no-such-queue"
    for call in (
        lambda: world.queues.send(name, OutgoingMessage("x")),
        lambda: receive(world, name),
        lambda: world.queues.delete(name, "receipt"),
        lambda: world.queues.change_visibility(name, "receipt", 0),
        lambda: world.queues.counts(name),
        lambda: world.queues.purge(name),
    ):
        with pytest.raises(Refused):
            call()
