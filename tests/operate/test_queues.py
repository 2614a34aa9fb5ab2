from __future__ import annotations

import pytest

from offload import UnknownTask
from offload.operate.queues import list_queues
from tests.operate.jobs import fail_jobs, work


def test_every_queue_has_its_numbers(world):
    fail_jobs(world, 2)
    work.options(delay="1m").delay()
    states = {(state.task, state.lane): state for state in list_queues(world.client)}
    assert set(states) == {("work", "default"), ("work", "high"), ("other", "default")}
    default = states["work", "default"]
    assert (default.waiting, default.in_flight, default.delayed, default.dead) == (0, 0, 1, 2)
    assert {state.task for state in list_queues(world.client, "work")} == {"work"}


def test_an_unknown_task_is_told(world):
    with pytest.raises(UnknownTask, match="task 'wrok' is not deployed"):
        list_queues(world.client, "wrok")
