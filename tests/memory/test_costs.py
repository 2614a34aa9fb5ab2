"""What a request to a twin costs does not depend on how much the twin holds."""

from __future__ import annotations

import random
import sys

import pytest

from offload.core.ports import OutgoingMessage
from offload.core.writes import Test, Write
from offload.memory.clock import VirtualClock
from offload.memory.queues import MemoryQueues
from offload.memory.table import MemoryTable

FEW, MANY = 500, 50_000


def steps_of(action):
    """Count the steps that Python's interpreter takes: unlike time, they are the same in every run."""
    steps = 0

    def count(frame, event, _argument):
        nonlocal steps
        frame.f_trace_opcodes = True
        steps += event == "opcode"
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        action()
    finally:
        sys.settrace(before)
    return steps


def queues_with(number):
    queues = MemoryQueues(VirtualClock(), random.Random(1))
    queues.create("dead")
    queues.create("q", dead_letter="dead", max_receives=100)
    for count in range(number):
        queues.send("q", OutgoingMessage("a", delay=0 if count % 2 else 900))
    for _ in range(5):
        queues.receive("q", limit=10, visibility=600)
    return queues


def take_and_return(queues):
    first, second, third, *_ = queues.receive("q", limit=10, visibility=60)
    queues.delete("q", first.receipt)
    queues.change_visibility("q", second.receipt, 0)
    queues.make_visible_in("q", third.message_id, 5)
    queues.counts("q")
    queues.first_visible_at("q")
    queues.to_dead_letter_queue("q", third.message_id)
    queues.send("q", OutgoingMessage("b"))
    queues.shuffle("q", random.Random(2))


def table_with(number):
    table = MemoryTable(VirtualClock())
    table.deletion_delay = lambda: 5
    for count in range(number):
        table.apply(Write(f"job-{count}", set={"idx": "failed", "idx_at": count, "ttl": 10**11}))
    return table


def read_and_write(table):
    table.apply(Write("job-7", when=((Test("id", "present"),),), set={"x": 1}, remove=("idx", "idx_at")))
    table.get("job-7")
    table.find("failed", limit=10)
    table.apply(Write("job-new", set={"idx": "failed", "idx_at": 3}))
    table.delete("job-9")


@pytest.mark.parametrize(("made", "used"), [(queues_with, take_and_return), (table_with, read_and_write)])
def test_a_request_among_many_takes_the_steps_of_one_among_few(made, used):
    few, many = made(FEW), made(MANY)
    assert steps_of(lambda: used(many)) <= 1.2 * steps_of(lambda: used(few))


def test_what_was_handled_is_not_kept():
    """A queue through which many messages go does not grow."""
    queues = queues_with(0)
    for _ in range(2_000):
        queues.send("q", OutgoingMessage("a"))
        (message,) = queues.receive("q", limit=10, visibility=30)
        queues.change_visibility("q", message.receipt, 20)
        queues.delete("q", message.receipt)
    queue = queues._queues["q"]
    assert len(queue) == 0
    assert max(map(len, (queue._visible, queue._hidden, queue._by_age, queue._by_receipt))) < 100
