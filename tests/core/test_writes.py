"""What a condition means, as DynamoDB reads it."""

from __future__ import annotations

import pytest

from offload.core.writes import Test, holds

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
