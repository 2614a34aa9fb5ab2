"""What a condition means, as DynamoDB reads it."""

from __future__ import annotations

import pytest

from offload.core.writes import Test, Write, holds

ITEM = {"id": "a", "n": 5, "s": "RUNNING", "zero": 0, "none": None, "list": []}


@pytest.mark.parametrize(
    ("test", "present", "without_item"),
    [
        (Test("n", "="), False, False),
        (Test("n", "=", 5), True, False),
        (Test("n", "<>", 5), False, False),
        (Test("n", "<>", 6), True, False),
        (Test("n", "<=", 5), True, False),
        (Test("n", "<=", 4), False, False),
        (Test("n", ">=", 5), True, False),
        (Test("n", ">=", 6), False, False),
        (Test("n", "absent"), False, True),
        (Test("n", "present"), True, False),
        (Test("zero", "present"), True, False),
        (Test("none", "present"), True, False),
        (Test("list", "absent"), False, True),
        # a comparison with an absent attribute is false, whatever the operator
        (Test("missing", "=", None), False, False),
        (Test("missing", "<>", 5), False, False),
        (Test("missing", "<=", 5), False, False),
        (Test("missing", ">=", 5), False, False),
        (Test("missing", "absent"), True, True),
        (Test("missing", "present"), False, False),
    ],
)
def test_one_comparison(test, present, without_item):
    assert test.holds(ITEM) is present
    assert test.holds(None) is without_item


@pytest.mark.parametrize(
    ("condition", "item", "expected"),
    [
        ((), None, True),
        ((), ITEM, True),
        (((),), None, True),
        (((Test("n", "=", 5), Test("s", "=", "RUNNING")),), ITEM, True),
        (((Test("n", "=", 5), Test("s", "=", "FAILED")),), ITEM, False),
        (((Test("s", "=", "FAILED"),), (Test("n", "=", 5),)), ITEM, True),
        (((Test("s", "=", "FAILED"),), (Test("n", "=", 6),)), ITEM, False),
        (((Test("id", "absent"),), (Test("s", "=", "RUNNING"),)), None, True),
    ],
)
def test_alternatives_of_conjunctions(condition, item, expected):
    assert holds(condition, item) is expected


VALUES = {"NULL": None, "BOOL": True, "N": 1, "S": "1", "L": [1], "M": {"1": 1}}
"""One value of each DynamoDB type."""


@pytest.mark.parametrize("stored", VALUES)
@pytest.mark.parametrize("given", VALUES)
def test_values_of_different_types_differ_and_are_in_no_order(stored, given):
    def holds_for(operator):
        return Test("x", operator, VALUES[given]).holds({"x": VALUES[stored]})

    assert holds_for("=") is (stored == given)
    assert holds_for("<>") is (stored != given)
    ordered = stored == given and stored in "NS"
    assert (holds_for("<="), holds_for(">=")) == (ordered, ordered)


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        (1, 1.0, True),
        (0, False, False),
        ([1], [True], False),
        ([1], [1, 1], False),
        ([1, 2], [1, 2.0], True),
        ({"a": [0]}, {"a": [False]}, False),
        ({"a": 1}, {"b": 1}, False),
        ({"a": 1}, {"a": 1, "b": 1}, False),
        ({"a": {"b": None}}, {"a": {"b": None}}, True),
    ],
)
def test_types_count_inside_of_lists_and_maps_too(one, other, equal):
    assert Test("x", "=", one).holds({"x": other}) is equal
    assert Test("x", "<>", other).holds({"x": one}) is not equal


# What DynamoDB refuses


PARTS = {"set": {"x": 1}, "default": {"x": 1}, "add": {"x": 1}, "append": {"x": [1]}, "remove": ("x",)}


@pytest.mark.parametrize("one", PARTS)
@pytest.mark.parametrize("other", PARTS)
def test_an_attribute_is_changed_in_one_way(one, other):
    if one == other:
        Write("a", **{one: PARTS[one]})
        return
    with pytest.raises(ValueError, match="'a': x is named twice"):
        Write("a", **{one: PARTS[one], other: PARTS[other]})


def test_an_attribute_is_removed_once():
    with pytest.raises(ValueError, match="y is named twice"):
        Write("a", set={"x": 1}, remove=("y", "z", "y"))
