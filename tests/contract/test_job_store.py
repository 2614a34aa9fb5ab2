"""What every `JobStore` does, in the same words and with the same errors."""

from __future__ import annotations

import pytest

from offload.core.errors import Refused
from offload.core.writes import Conflict, Test, Write

ABSENT = ((Test("id", "absent"),),)


def test_a_conditional_create_returns_the_item_and_the_second_one_conflicts_with_it(world):
    made = world.store.apply(Write("a", ABSENT, set={"state": "PENDING", "attempt": 0}))
    assert made == {"id": "a", "state": "PENDING", "attempt": 0}
    with pytest.raises(Conflict) as caught:
        world.store.apply(Write("a", ABSENT, set={"state": "RUNNING"}))
    assert caught.value.item == made
    assert world.store.get("a") == made


def test_a_brief_request_does_what_any_other_does(world):
    made = world.store.apply(Write("a", ABSENT, set={"x": 1}), brief=True)
    assert made == world.store.get("a", brief=True) == {"id": "a", "x": 1}
    assert world.store.get("b", brief=True) is None
    with pytest.raises(Conflict) as caught:
        world.store.apply(Write("a", ABSENT), brief=True)
    assert caught.value.item == made


def test_a_conflict_with_nothing_holds_none(world):
    with pytest.raises(Conflict) as caught:
        world.store.apply(Write("a", ((Test("state", "=", "RUNNING"),),), set={"state": "SUCCEEDED"}))
    assert caught.value.item is None
    assert world.store.get("a") is None


def test_a_write_without_condition_creates_and_updates(world):
    world.store.apply(Write("a", set={"x": 1, "y": 1}))
    assert world.store.apply(Write("a", set={"x": 2})) == {"id": "a", "x": 2, "y": 1}


def test_a_claim_is_won_once_and_taken_over_when_its_lease_is_over(world):
    def claim(lease: str, now: int) -> Write:
        when = (
            (Test("state", "absent"),),
            (Test("state", "=", "PENDING"),),
            (Test("state", "=", "RUNNING"), Test("lease_until", "<=", now)),
        )
        return Write("a", when, set={"state": "RUNNING", "lease": lease, "lease_until": now + 10}, add={"attempt": 1})

    assert world.store.apply(claim("one", 100))["attempt"] == 1
    with pytest.raises(Conflict) as caught:
        world.store.apply(claim("two", 105))
    assert caught.value.item["lease"] == "one"
    assert world.store.apply(claim("two", 110))["attempt"] == 2
    with pytest.raises(Conflict):
        world.store.apply(Write("a", ((Test("lease", "=", "one"),),), set={"state": "SUCCEEDED"}))


OPERATORS = [
    (Test("n", "=", 5), True),
    (Test("n", "=", 6), False),
    (Test("n", "<>", 6), True),
    (Test("n", "<>", 5), False),
    (Test("n", "<=", 5), True),
    (Test("n", "<=", 4), False),
    (Test("n", ">=", 5), True),
    (Test("n", ">=", 6), False),
    (Test("n", "present"), True),
    (Test("n", "absent"), False),
    (Test("gone", "absent"), True),
    (Test("gone", "present"), False),
    (Test("gone", "=", 5), False),
    (Test("gone", "<>", 5), False),
    (Test("gone", "<=", 5), False),
    (Test("gone", ">=", 5), False),
    (Test("empty", "present"), True),
    (Test("empty", "=", None), True),
    (Test("text", "=", "b"), True),
    (Test("text", ">=", "a"), True),
    (Test("flag", "=", True), True),
    (Test("flag", "<>", True), False),
    (Test("one", "=", 1.0), True),
    (Test("one", "<=", 1.5), True),
    # Values of different types differ. The stand-ins compare Python's values and so know True from 1, and an order
    # between numbers and texts, no better than Python does: those cases are in tests/core/test_writes.py.
    (Test("one", "=", "1"), False),
    (Test("one", "<>", "1"), True),
    (Test("empty", "<>", 0), True),
    (Test("empty", "=", False), False),
    (Test("list", "=", [1, {"a": 0}]), True),
    (Test("list", "<>", {"a": 0}), True),
    (Test("map", "=", {"b": "2", "a": 1}), True),
    (Test("map", "=", {"a": 1}), False),
]


def test_every_operator_holds_where_it_should(world):
    values = {"n": 5, "one": 1, "empty": None, "text": "b", "flag": True, "list": [1, {"a": 0}]}
    values |= {"map": {"a": 1, "b": "2"}}
    world.store.apply(Write("a", set=values))
    for test, holds in OPERATORS:
        try:
            world.store.apply(Write("a", ((test,),), set={"seen": 1}))
            held = True
        except Conflict:
            held = False
        assert held is holds, test


def test_alternatives_need_one_case_and_a_case_needs_all_its_tests(world):
    world.store.apply(Write("a", set={"x": 1, "y": 2}))
    both = (Test("x", "=", 1), Test("y", "=", 2))
    half = (Test("x", "=", 1), Test("y", "=", 3))
    world.store.apply(Write("a", (both,), set={"z": 1}))
    world.store.apply(Write("a", (half, both), set={"z": 2}))
    world.store.apply(Write("a", (half, ()), set={"z": 3}))
    with pytest.raises(Conflict):
        world.store.apply(Write("a", (half, half), set={"z": 4}))
    assert world.store.get("a")["z"] == 3


def test_a_list_that_is_absent_begins_with_its_base(world):
    def write(entry):
        return Write("a", append={"seen": [entry], "plain": [entry]}, base={"seen": [["born", 1]]})

    assert world.store.apply(write("x"))["seen"] == [["born", 1], "x"]
    after = world.store.apply(write("y"))
    assert (after["seen"], after["plain"]) == ([["born", 1], "x", "y"], ["x", "y"])


def test_defaults_are_set_where_absent_only(world):
    assert world.store.apply(Write("a", default={"x": 1}))["x"] == 1
    after = world.store.apply(Write("a", default={"x": 2, "y": None}))
    assert after == {"id": "a", "x": 1, "y": None}
    assert world.store.apply(Write("a", default={"y": 3}))["y"] is None  # null is there; it is not absent


def test_numbers_add_up_from_nothing(world):
    assert world.store.apply(Write("a", add={"n": 2}))["n"] == 2
    assert world.store.apply(Write("a", add={"n": -3, "m": 0})) == {"id": "a", "n": -1, "m": 0}


def test_lists_grow_from_nothing_in_order(world):
    world.store.apply(Write("a", append={"history": [["PENDING", 1, 0]]}))
    after = world.store.apply(Write("a", append={"history": [["RUNNING", 2, 1], ["FAILED", 3, 1, "why"]]}))
    assert after["history"] == [["PENDING", 1, 0], ["RUNNING", 2, 1], ["FAILED", 3, 1, "why"]]


def test_removed_attributes_are_gone_and_removing_nothing_is_fine(world):
    world.store.apply(Write("a", set={"x": 1, "y": 2}))
    assert world.store.apply(Write("a", remove=("x", "never"))) == {"id": "a", "y": 2}


def test_every_part_works_in_one_write_with_reserved_words_for_names(world):
    world.store.apply(Write("a", set={"lease": "x"}))
    write = Write(
        "a",
        ((Test("lease", "=", "x"),),),
        set={"state": "SUCCEEDED", "name": "n"},
        default={"status": 1},
        add={"count": 1},
        append={"list": [1]},
        remove=("lease",),
    )
    expected = {"id": "a", "state": "SUCCEEDED", "name": "n", "status": 1, "count": 1, "list": [1]}
    assert world.store.apply(write) == expected
    assert world.store.get("a") == expected


def test_json_values_come_back_as_they_were(world):
    value = {
        "text": 'Grüße \U0001f680\n"quoted"',
        "empty": "",
        "none": None,
        "yes": True,
        "no": False,
        "zero": 0,
        "whole": -12345678901234567890,
        "real": 1234.5678,
        "small": 1.5e-9,
        "list": [1, "two", None, [True, {"deep": []}]],
        "map": {"a.b": {"#": ":x"}},
    }
    world.store.apply(Write("a", set={"value": value}))
    read = world.store.get("a")["value"]
    assert read == value
    assert {name: type(entry) for name, entry in read.items()} == {name: type(entry) for name, entry in value.items()}


def test_what_is_returned_or_given_is_not_shared_with_the_store(world):
    history = [["PENDING", 1, 0]]
    made = world.store.apply(Write("a", append={"history": history}))
    made["history"].append("mine")
    history.append("mine")
    world.store.get("a")["history"].append("mine")
    assert world.store.get("a")["history"] == [["PENDING", 1, 0]]


@pytest.mark.parametrize(
    "write",
    [
        Write("a", set={"id": "b"}),
        Write("a", set={"x": float("nan")}),
        Write("a", set={"x": "y" * 450_000}),
    ],
    ids=["key", "nan", "too-large"],
)
def test_a_write_that_cannot_be_is_refused_before_its_condition_is_asked(strict_world, write):
    strict_world.store.apply(Write("a", set={"kept": 1}))
    with pytest.raises(Refused):
        strict_world.store.apply(write)
    assert strict_world.store.get("a") == {"id": "a", "kept": 1}


@pytest.mark.parametrize("write", [Write("a", append={"x": [1]}), Write("a", add={"x": 1})], ids=["append", "add"])
def test_growing_what_does_not_grow_is_refused(strict_world, write):
    strict_world.store.apply(Write("a", set={"x": "text"}))
    with pytest.raises(Refused):
        strict_world.store.apply(write)


def test_a_partition_is_found_newest_first_and_only_what_is_in_it(world):
    for number in (3, 1, 2):
        world.store.apply(Write(f"job-{number}", set={"idx": "t#FAILED#0", "idx_at": number, "state": "FAILED"}))
    world.store.apply(Write("elsewhere", set={"idx": "t#FAILED#1", "idx_at": 9}))
    world.store.apply(Write("not-indexed", set={"state": "SUCCEEDED"}))
    assert [item["id"] for item in world.store.find("t#FAILED#0", limit=10)] == ["job-3", "job-2", "job-1"]
    assert [item["id"] for item in world.store.find("t#FAILED#0", limit=2)] == ["job-3", "job-2"]
    assert world.store.find("t#FAILED#0", limit=1)[0]["state"] == "FAILED"
    assert world.store.find("t#FAILED#7", limit=10) == []


def test_a_record_leaves_the_index_with_its_key(world):
    world.store.apply(Write("a", set={"idx": "t#FAILED#0", "idx_at": 1}))
    world.store.apply(Write("a", remove=("idx", "idx_at")))
    assert world.store.find("t#FAILED#0", limit=10) == []


def test_an_expired_record_is_not_shown_but_still_met_by_a_write(world):
    now = world.clock.now() // 1000
    place = {"idx": "t#FAILED#0"}
    world.store.apply(Write("old", set={**place, "idx_at": 3, "ttl": now - 1}))
    world.store.apply(Write("fresh", set={**place, "idx_at": 2, "ttl": now + 60}))
    world.store.apply(Write("fresh-too", set={**place, "idx_at": 1, "ttl": now + 60}))
    assert world.store.get("old") is None
    assert [item["id"] for item in world.store.find("t#FAILED#0", limit=2)] == ["fresh", "fresh-too"]
    with pytest.raises(Conflict) as caught:
        world.store.apply(Write("old", ABSENT, set={"x": 1}))
    assert caught.value.item["id"] == "old"
    world.store.apply(Write("old", (*ABSENT, (Test("ttl", "<=", now),)), set={"ttl": now + 60}))
    assert world.store.get("old") is not None
