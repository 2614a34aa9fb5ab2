"""By name and by `.delay()`: every pair of an annotation and a value ends the same at the task.

Both ways are compared over a table: is the call accepted, what is sent, and what does the task receive? The last word
of a row says where they may differ, and for what reason:

- `same`: accepted by both with one payload and one value, or refused by both.
- `value`: the payloads differ, and the task receives the same value.
- `json`: `.delay()` refuses a value in its JSON form, or in a form that producers have who do not have the class. By
  name it is accepted, and the worker reads it.
- `late`: `.delay()` refuses, and by name the worker does: only code of the task's own, or a type that the library does
  not know, tells that the value is wrong.
- `lost`: both accept a value whose JSON form their worker refuses; its job fails with the reason.
- `never`: the worker could not read what `.delay()` sends, so the task is refused before it is deployed.
- `early`: `.delay()` accepts what its worker then refuses. By name it is refused before anything is sent.
- `by name`: `.delay()` writes what its worker cannot read, or reads as another value. By name the value arrives.
"""

from __future__ import annotations

import datetime as dt
import decimal
import json
import re
import uuid
from typing import Annotated, Any, Literal, Union

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field

from offload import DefinitionError, PayloadError
from offload.core.enqueueing.payload_schema import PayloadSchema
from offload.core.tasks.signature import Signature
from tests.core.enqueueing.pairs import TABLE
from tests.core.enqueueing.typed import Colour, Level, One, Plain, Point


def task_of(annotation: Any) -> Signature:
    def job(value): ...

    job.__annotations__ = {"value": annotation, "return": None}
    return Signature("job", job)


REFUSED = "refused"


def delayed(signature: Signature, value: Any) -> tuple[Any, Any]:
    """Return the payload that `.delay()` sends, and what the task receives."""
    try:
        payload = json.dumps(signature.bind((value,), {}))
    except PayloadError:
        return REFUSED, REFUSED
    return payload, received(signature, payload)


def named(signature: Signature, value: Any) -> tuple[Any, Any]:
    """Return the payload that is sent by name, and what the task receives."""
    schema = PayloadSchema("job", json.loads(json.dumps(signature.schema())))  # as it arrives in a manifest
    try:
        payload = json.dumps(schema.write({"value": value}))
    except PayloadError:
        return REFUSED, REFUSED
    return payload, received(signature, payload)


def received(signature: Signature, payload: str) -> Any:
    try:
        (value,) = signature.read(json.loads(payload)).values()
    except PayloadError:
        return REFUSED
    return repr([type(value), list(value) if type(value).__name__ == "ValidatorIterator" else value])


def verdict(annotation: Any, value: Any) -> str:
    """Return how the two ways compare, in the words of the table."""
    signature = task_of(annotation)
    sent, there = delayed(signature, value)
    try:
        sent_by_name, there_by_name = named(signature, value)
    except DefinitionError:
        return "never" if there == REFUSED else "refused for nothing"
    if sent == sent_by_name and there == there_by_name:
        return "lost" if there == REFUSED != sent else "same"
    if sent == REFUSED:
        return "late" if there_by_name == REFUSED else "json"
    if there == there_by_name:
        return "value" if sent_by_name != REFUSED else "early"
    if there == REFUSED:
        return "by name"
    return "corrupted"


def shown(value):
    """Name a case by its value, without the addresses of objects: the names are the same in each process."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))[:60]


def test_the_table_is_large():
    assert len(TABLE) >= 400
    assert len({str(annotation) for annotation, _, _ in TABLE}) >= 150


@pytest.mark.parametrize(("annotation", "value", "word"), TABLE, ids=shown)
def test_by_name_a_call_ends_as_by_delay(annotation, value, word):
    assert verdict(annotation, value) == word


# Any composition of types, with values that fit and values that do not

LEAVES = [
    (int, st.integers(-(2**40), 2**40)),
    (float, st.floats(allow_nan=False)),
    (str, st.text("a1+/-_= ", max_size=4) | st.dates().map(str) | st.decimals(allow_nan=False).map(str)),
    (bool, st.booleans()),
    (type(None), st.none()),
    (bytes, st.binary(max_size=4)),
    (dt.datetime, st.datetimes(timezones=st.just(dt.UTC))),
    (dt.date, st.dates()),
    (dt.time, st.times()),
    (dt.timedelta, st.timedeltas(dt.timedelta(0), dt.timedelta(days=400))),
    (uuid.UUID, st.uuids()),
    (decimal.Decimal, st.decimals(allow_nan=False, allow_infinity=False, places=2)),
    (Annotated[int, Field(ge=0, multiple_of=2)], st.integers(-4, 4)),
    (Annotated[decimal.Decimal, Field(max_digits=3, gt=0)], st.decimals(-10, 100, places=1)),
    (Colour, st.sampled_from([*Colour, "red", 1])),
    (Level, st.sampled_from([*Level, 1, "1"])),
    (Literal["a", 1], st.sampled_from(["a", 1, "1"])),
    (Plain, st.builds(Plain, a=st.integers()) | st.fixed_dictionaries({"a": st.integers()})),
    (Point, st.builds(Point, st.integers(), st.binary(max_size=2))),
    (One, st.fixed_dictionaries({"A": st.integers() | st.text("1a", max_size=2)})),
]
KEYS = [leaf for leaf in LEAVES if leaf[0] not in {type(None), Colour, Literal["a", 1], Plain, Point, One}]


@st.composite
def pairs(draw: Any, depth: int = 2) -> tuple[Any, Any]:
    kind = draw(
        st.sampled_from(["leaf", "other", "union", "union", "list", "set", "dict", "tuple"][: 8 if depth else 2])
    )
    if kind in {"leaf", "other"}:
        annotation, values = draw(st.sampled_from(LEAVES))
        _, others = draw(st.sampled_from(LEAVES))
        return annotation, draw(values if kind == "leaf" else others)
    if kind == "set":
        annotation, values = draw(st.sampled_from(KEYS))
        return set[annotation], draw(st.sets(values, max_size=3) | st.lists(values, max_size=3))
    annotation, value = draw(pairs(depth - 1))
    if kind == "list":
        return list[annotation], [value] * draw(st.integers(0, 2))
    if kind == "dict":
        key, values = draw(st.sampled_from(KEYS))
        return dict[key, annotation], {draw(values): value}
    other, second = draw(pairs(depth - 1))
    if kind == "tuple":
        return tuple[annotation, other], (value, second)
    return Union[annotation, other], draw(st.sampled_from([value, second]))  # noqa: UP007 - made at run time


@settings(max_examples=400)
@given(pairs())
def test_by_name_no_call_is_refused_or_arrives_as_another(pair):
    assert verdict(*pair) in {"same", "value", "json", "late", "lost", "early", "never"}
