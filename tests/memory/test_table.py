"""What the twin has beyond the contract."""

from __future__ import annotations

import pytest

from offload.core.errors import Refused
from offload.core.writes import Write
from offload.memory.clock import VirtualClock
from offload.memory.table import MemoryTable


def test_jobs_are_visible_as_data():
    table = MemoryTable(VirtualClock())
    table.apply(Write("b", set={"x": [1]}))
    table.apply(Write("a", set={"x": [2]}))
    assert table.items() == [{"id": "a", "x": [2]}, {"id": "b", "x": [1]}]
    table.items()[0]["x"].append(3)
    assert table.items()[0]["x"] == [2]


def test_expired_records_lie_there_until_they_are_swept():
    clock = VirtualClock()
    table = MemoryTable(clock)
    table.apply(Write("old", set={"ttl": clock.now() // 1000 + 10}))
    table.apply(Write("kept", set={"x": 1}))
    clock.advance(10)
    assert [item["id"] for item in table.items()] == ["kept", "old"]
    table.sweep()
    assert [item["id"] for item in table.items()] == ["kept"]


def test_a_refused_write_changes_nothing():
    table = MemoryTable(VirtualClock())
    table.apply(Write("a", set={"x": "text", "list": [1]}))
    for write in (
        Write("a", set={"y": 1}, add={"x": 1}),
        Write("a", append={"list": [2], "x": [2]}),
        Write("a", append={"list": ["y" * 500_000]}),
        Write("", set={"x": 1}),
    ):
        with pytest.raises(Refused):
            table.apply(write)
    assert table.items() == [{"id": "a", "x": "text", "list": [1]}]


def test_a_value_that_is_no_json_is_a_mistake_of_the_caller():
    with pytest.raises(TypeError):
        MemoryTable(VirtualClock()).apply(Write("a", set={"x": object()}))
