"""What the twin has beyond the contract."""

from __future__ import annotations

import pytest

from offload.core.errors import Refused
from offload.core.writes import Conflict, Test, Write
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


def test_an_expired_record_is_deleted_late():
    clock = VirtualClock()
    table = MemoryTable(clock)
    expired = []
    table.on_expired, table.deletion_delay = expired.append, lambda: 100
    table.apply(Write("old", set={"ttl": clock.now() // 1000 + 10, "idx": "failed", "idx_at": 1}))
    table.apply(Write("kept", set={"x": 1}))
    clock.advance(109)
    assert table.get("old") is None, "a reader does not see it any more"
    with pytest.raises(Conflict):
        table.apply(Write("old", when=((Test("id", "absent"),),)))
    clock.advance(1)
    assert [item["id"] for item in table.items()] == ["kept"]
    assert expired == ["old"]
    assert table.find("failed", limit=10) == []


def test_a_record_that_was_given_more_time_is_not_deleted_yet():
    clock = VirtualClock()
    table = MemoryTable(clock)
    table.deletion_delay = lambda: 100
    table.apply(Write("a", set={"ttl": clock.now() // 1000 + 10}))
    table.apply(Write("a", set={"ttl": clock.now() // 1000 + 1000}))
    clock.advance(1099)
    assert table.item("a") is not None
    clock.advance(1)
    assert table.item("a") is None


def test_a_partition_is_listed_newest_first_and_forgets_what_left_it():
    table = MemoryTable(VirtualClock())
    for name, at in (("a", 2), ("b", 3), ("c", 1)):
        table.apply(Write(name, set={"idx": "failed", "idx_at": at}))
    table.apply(Write("b", set={"idx_at": 0}))
    table.apply(Write("c", remove=("idx", "idx_at")))
    assert [item["id"] for item in table.find("failed", limit=10)] == ["a", "b"]
    table.change("a", idx="retrying")
    table.delete("b")
    assert table.find("failed", limit=10) == []
