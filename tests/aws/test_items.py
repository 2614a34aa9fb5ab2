from __future__ import annotations

import math
from enum import StrEnum

import pytest
from boto3.dynamodb.types import TypeDeserializer
from hypothesis import given
from hypothesis import strategies as st

from offload.aws import items
from offload.core.errors import Refused

texts = st.text(max_size=20)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4))


@given(values)
def test_a_json_value_comes_back_equal_and_of_the_same_kind(value):
    back = items.load(items.dump(value))
    assert back == value
    assert type(back) is type(value)


@given(st.recursive(st.none() | st.booleans() | st.integers(-(10**37), 10**37) | texts, st.lists, max_leaves=5))
def test_what_is_written_is_what_the_sdk_reads(value):
    assert TypeDeserializer().deserialize(items.dump(value)) == value


@given(st.dictionaries(texts, values, max_size=5))
def test_items_go_attribute_by_attribute(item):
    assert items.load_map(items.dump_map(item)) == item


def test_each_kind_has_its_letter():
    class Colour(StrEnum):
        RED = "red"

    cases = [
        ("x", {"S": "x"}),
        (Colour.RED, {"S": "red"}),
        (True, {"BOOL": True}),
        (1, {"N": "1"}),
        (-1.5, {"N": "-1.5"}),
        (None, {"NULL": True}),
        ((1,), {"L": [{"N": "1"}]}),
        ({"a": 1}, {"M": {"a": {"N": "1"}}}),
    ]
    for value, attribute in cases:
        assert items.dump(value) == attribute
    assert type(items.dump(Colour.RED)["S"]) is str


@pytest.mark.parametrize(("text", "number"), [("1E+2", 100.0), ("0.5", 0.5), ("-7", -7), ("1e-7", 1e-7)])
def test_numbers_are_read_as_dynamodb_writes_them(text, number):
    assert items.load({"N": text}) == number


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_refused(number):
    with pytest.raises(Refused):
        items.dump({"deep": [number]})


@pytest.mark.parametrize("value", [b"bytes", {1, 2}, object()])
def test_what_is_no_json_is_a_mistake_of_the_caller(value):
    with pytest.raises(TypeError):
        items.dump(value)
