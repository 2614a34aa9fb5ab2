"""A payload checked by the manifest's schema is what `.delay()` makes of the same arguments, with the same refusals."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import ipaddress
import json
import pathlib
import re
import typing
import uuid
from typing import Annotated, Any, Literal, NamedTuple, NotRequired

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import (
    AliasChoices,
    AnyUrl,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    RootModel,
    SecretStr,
    WrapValidator,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel
from typing_extensions import TypedDict

from offload import PayloadError, Secret
from offload.core.enqueueing.payload_schema import PayloadSchema
from offload.core.tasks.signature import Signature

NOON = dt.datetime(2026, 1, 2, 12, tzinfo=dt.UTC)
ID = uuid.UUID("12345678-1234-4234-8234-123456789012")


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Person(BaseModel):
    """Somebody."""

    name: str
    born: dt.date | None = None
    friends: list[Person] = []


class Order(BaseModel):
    number: int = Field(alias="orderNumber", ge=1)
    lines: dict[str, decimal.Decimal] = {}


class BothNames(BaseModel):
    model_config = ConfigDict(populate_by_name=True, extra="forbid")
    a: int = Field(alias="A")


class TwoAliases(BaseModel):
    a: int = Field(validation_alias="in", serialization_alias="out")


class OtherAliases(BaseModel):
    a: int = Field(validation_alias=AliasChoices("x", "y"))


class Camel(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)
    first_name: str


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")
    a: int


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    a: int


class Names(RootModel[list[str]]): ...


class OtherNames(RootModel[Names]): ...


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"]
    name: str


class Point(NamedTuple):
    x: int
    y: int = 0


class Options(TypedDict):
    depth: int
    quick: NotRequired[bool]


@dataclasses.dataclass
class Size:
    width: int
    height: int = 1


def task_of(annotation: Any) -> Signature:
    def job(value: annotation) -> None: ...

    job.__annotations__ = {"value": annotation, "return": None}
    return Signature("job", job)


def schema_of(signature: Signature) -> PayloadSchema:
    return PayloadSchema("job", json.loads(json.dumps(signature.schema())))  # as it arrives in a manifest


def shown(value):
    """Name a case by its value, without the addresses of objects: the names are the same in each process."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))


ACCEPTED = [
    (int, 5),
    (int, "5"),
    (int, 5.0),
    (int, True),
    (float, 1),
    (float, "1.5"),
    (float, float("inf")),
    (str, "ünï"),
    (str, b"abc"),
    (bool, "yes"),
    (type(None), None),
    (Any, {"a": [1, NOON, ID, b"\xff", Colour.RED, decimal.Decimal("1.10")]}),
    (dt.datetime, NOON),
    (dt.datetime, "2026-01-02T12:00:00+00:00"),
    (dt.datetime, 1_767_355_200),
    (dt.date, NOON.date()),
    (dt.date, "2026-01-02"),
    (dt.time, dt.time(1, 2, 3)),
    (dt.timedelta, dt.timedelta(days=1, seconds=2)),
    (dt.timedelta, 90),
    (uuid.UUID, ID),
    (uuid.UUID, str(ID)),
    (decimal.Decimal, decimal.Decimal("1.10")),
    (decimal.Decimal, "1.10"),
    (decimal.Decimal, 1.1),
    (decimal.Decimal, 3),
    (Annotated[decimal.Decimal, Field(gt=0, le=5)], "5"),
    (decimal.Decimal | None, decimal.Decimal("7.00")),
    (float | str, "1.10"),
    (bytes, b"\xff\xfe\xfb"),
    (bytes, bytearray(b"abc")),
    (Colour, Colour.RED),
    (Colour, "blue"),
    (Level, Level.HIGH),
    (Level, "2"),
    (Literal["a", 1] | None, 1),
    (Literal["one"], "one"),
    (pathlib.Path, pathlib.Path("/tmp/x")),
    (ipaddress.IPv4Address, ipaddress.IPv4Address("10.0.0.1")),
    (AnyUrl, "https://example.com/a"),
    (re.Pattern, re.compile("a+")),
    (list[int], ["1", 2]),
    (list[int], (1, 2)),
    (set[int], {1}),
    (tuple[int, str], (1, "a")),
    (tuple[int, ...], [1, "2"]),
    (Point, Point(1, 2)),
    (dict[str, int], {"a": "1"}),
    (dict[int, str], {1: "a"}),
    (dict[Colour, int], {Colour.RED: 1}),
    (dict[Annotated[str, Field(pattern="^a")], int], {"ab": 1}),
    (Person, Person(name="Ada", friends=[Person(name="Bob", born="2000-01-01")])),
    (Person, {"name": "Ada"}),
    (Person, {"name": "Ada", "unknown": 1}),
    (list[Person], [{"name": "Ada", "friends": [{"name": "Bob"}]}]),
    (Order, Order(orderNumber=1, lines={"a": "1.50"})),
    (Order, {"orderNumber": "1"}),
    (BothNames, {"a": 1}),
    (BothNames, {"A": "1"}),
    (TwoAliases, {"in": 1}),
    (TwoAliases, TwoAliases.model_validate({"in": 1})),
    (OtherAliases, {"y": 1}),
    (Camel, {"firstName": "Ada"}),
    (Camel, Camel(firstName="Ada")),
    (Strict, {"a": 1}),
    (Open, {"a": 1, "b": [2]}),
    (Names, ["a"]),
    (OtherNames, OtherNames(["a"])),
    (Annotated[Cat | Dog, Field(discriminator="kind")], Cat(kind="cat")),
    (Annotated[Cat | Dog, Field(discriminator="kind")], {"kind": "dog", "name": "Rex"}),
    (Cat | Dog, {"kind": "dog", "name": "Rex"}),
    (Options, {"depth": 1}),
    (Size, Size(3)),
    (Size, {"width": "3", "height": 4}),
    (int | str, "5"),
    (int | None, None),
    (Annotated[str, Field(min_length=2, max_length=3, pattern="^a")], "ab"),
    (Annotated[str, Field(pattern="^(?i)a")], "A"),
    (Annotated[int, Field(ge=1, lt=10, multiple_of=2)], 4),
    (Annotated[list[int], Field(min_length=1, max_length=2)], [1]),
]


@pytest.mark.parametrize(("annotation", "value"), ACCEPTED, ids=shown)
def test_what_delay_accepts_becomes_the_same_payload_by_name(annotation, value):
    signature = task_of(annotation)
    expected = signature.bind((value,), {})

    written = schema_of(signature).write({"value": value})

    assert json.dumps(written) == json.dumps(expected)
    assert schema_of(signature).write(written) == written, "the JSON form of a payload is a payload"
    signature.read(written)


REFUSED = [
    (int, "five", "value: Input should be a valid integer"),
    (int, 1.5, "value: Input should be a valid integer"),
    (str, 5, "value: Input should be a valid string"),
    (bool, 2, "value: Input should be a valid boolean"),
    (dt.datetime, "yesterday", "value: Input should be a valid datetime"),
    (uuid.UUID, "x", "value: Input should be a valid UUID"),
    (decimal.Decimal, "x", "value: Input should be a valid decimal"),
    (Annotated[decimal.Decimal, Field(gt=0)], 0, "value: Input should be greater than 0"),
    (bytes, 5, "value: Input should be a valid bytes"),
    (Colour, "green", "value: Input should be 'red' or 'blue'"),
    (Level, 3, "value: Input should be 1 or 2"),
    (Literal["a", "b"], "c", "value: Input should be 'a' or 'b'"),
    (list[int], [1, "x", 3, "y"], "value.1: Input should be a valid integer, .*; value.3: Input should be a valid"),
    (list[int], "1,2", "value: Input should be a valid list"),
    (tuple[int, str], [1], "value.1: Field required"),
    (dict[str, int], {"a": "x"}, "value.a: Input should be a valid integer"),
    (Person, {"name": 5, "friends": [{}]}, "value.name: Input should be a valid string; value.friends.0.name: Field"),
    (Person, "Ada", "value: Input should be a valid dictionary"),
    (Order, {"orderNumber": 0}, "value.orderNumber: Input should be greater than or equal to 1"),
    (Strict, {"a": 1, "b": 2}, "value.b: Extra inputs are not permitted"),
    (Annotated[Cat | Dog, Field(discriminator="kind")], {"kind": "cow"}, "value: Input tag 'cow'"),
    (Annotated[str, Field(min_length=2)], "a", "value: String should have at least 2 characters"),
    (Annotated[str, Field(pattern="^a")], "b", r"value: String should match pattern '\^a'"),
    (Annotated[int, Field(ge=1)], 0, "value: Input should be greater than or equal to 1"),
    (Annotated[int, Field(multiple_of=2)], 3, "value: Input should be a multiple of 2"),
    (Annotated[list[int], Field(max_length=1)], [1, 2], "value: List should have at most 1 item"),
]


@pytest.mark.parametrize(("annotation", "value", "reason"), REFUSED, ids=shown)
def test_what_delay_refuses_is_refused_by_name(annotation, value, reason):
    signature = task_of(annotation)
    with pytest.raises(PayloadError):
        signature.bind((value,), {})

    with pytest.raises(PayloadError, match=f"^job: {reason}"):
        schema_of(signature).write({"value": value})


def a_signature() -> Signature:
    def job(a: int, b: list[int], *, c: dt.date = dt.date(2026, 1, 1), d: str = "x") -> None: ...

    job.__annotations__ = typing.get_type_hints(job, globals())
    return Signature("job", job)


def test_every_wrong_argument_is_named_at_once():
    with pytest.raises(PayloadError) as told:
        schema_of(a_signature()).write({"b": [1, "x"], "c": "soon", "e": 1, "f": 2})

    for wrong in ("a: Field required", "b.1: ", "c: ", "e: Extra inputs", "f: Extra inputs"):
        assert wrong in str(told.value)
    assert "soon" not in str(told.value), "values stay out of errors"


def test_arguments_that_are_left_out_stay_out():
    assert schema_of(a_signature()).write({"a": 1, "b": []}) == a_signature().bind((1, []), {}) == {"a": 1, "b": []}


def test_a_secret_that_is_given_is_written_as_it_is():
    schema = schema_of(task_of(str))
    assert schema.write({"value": SecretStr("open sesame")}) == {"value": "open sesame"}


def test_a_secret_argument_is_checked_as_any_other():
    signature = task_of(Secret[int])
    assert signature.schema()["properties"]["value"]["writeOnly"] is True
    assert schema_of(signature).write({"value": "5"}) == {"value": 5}
    with pytest.raises(PayloadError, match="value: Input should be a valid integer"):
        schema_of(signature).write({"value": "x"})


def test_a_text_for_bytes_is_their_json_form():
    schema = schema_of(task_of(bytes))
    assert schema.write({"value": "__79"}) == {"value": "__79"} == schema.write({"value": b"\xff\xfe\xfd"})
    assert schema.write({"value": "_w"}) == schema.write({"value": b"\xff"})
    with pytest.raises(PayloadError, match="value: Value error, a text must be base64; give bytes"):
        schema.write({"value": "not base64!"})


@pytest.mark.parametrize("value", [object(), "\ud800", {1: object()}], ids=shown)
def test_what_has_no_json_form_is_refused(value):
    with pytest.raises(PayloadError, match="job: the payload cannot be written as JSON"):
        schema_of(task_of(Any)).write({"value": value})


def test_a_value_that_contains_itself_is_refused():
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(PayloadError):
        schema_of(task_of(Any)).write({"value": endless})


def test_equal_items_of_a_set_are_one():
    signature = task_of(Annotated[set[int], Field(max_length=1)])
    assert schema_of(signature).write({"value": [1, "1"]}) == signature.bind(([1, "1"],), {}) == {"value": [1]}


# What only the worker can check


class Split(BaseModel):
    parts: list[str]

    @field_validator("parts", mode="before")
    @classmethod
    def split(cls, value):
        return value.split(",") if isinstance(value, str) else value


class Unwrapped(BaseModel):
    a: int

    @model_validator(mode="before")
    @classmethod
    def unwrap(cls, value):
        return value["inner"] if isinstance(value, dict) and "inner" in value else value


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Annotated[list[int], BeforeValidator(json.loads)], "[1]"),
        (Annotated[int, PlainValidator(len)], "abc"),
        (Annotated[int, WrapValidator(lambda value, inner: inner(value.strip("!")))], "5!"),
        (Split, {"parts": "a,b"}),
        (Unwrapped, {"inner": {"a": 1}}),
    ],
    ids=shown,
)
def test_what_a_validator_of_the_tasks_own_sees_first_is_left_to_the_worker(annotation, value):
    signature = task_of(annotation)
    payload = schema_of(signature).write({"value": value})
    assert payload == {"value": value}
    signature.read(payload)


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object"},
        {"type": "object", "properties": {"value": True}},
        {"type": "object", "properties": {"value": {"type": ["string", "null"]}}},
        {"type": "object", "properties": {"value": {"allOf": [{"type": "string"}]}}},
        {"type": "object", "properties": {"value": {"type": "something new"}}},
    ],
    ids=shown,
)
def test_a_schema_that_says_nothing_it_knows_accepts(schema):
    assert PayloadSchema("job", schema).write({"value": "a"}) == {"value": "a"}


# Any composition of types

LEAVES = [
    (int, st.integers(-(2**53), 2**53)),
    (float, st.floats(allow_nan=False)),
    (str, st.text(st.characters(exclude_categories=["Cs"]), max_size=5)),
    (bool, st.booleans()),
    (bytes, st.binary(max_size=5)),
    (dt.datetime, st.datetimes(timezones=st.just(dt.UTC))),
    (dt.date, st.dates()),
    (dt.timedelta, st.timedeltas(dt.timedelta(0), dt.timedelta(days=400))),
    (uuid.UUID, st.uuids()),
    (decimal.Decimal, st.decimals(allow_nan=False, allow_infinity=False)),
    (Colour, st.sampled_from(Colour)),
    (Person, st.builds(Person, name=st.just("Ada"), born=st.none() | st.dates())),
]


@st.composite
def typed_values(draw: Any, depth: int = 3) -> tuple[Any, Any]:
    kind = draw(st.sampled_from(["leaf", "list", "dict", "optional", "tuple"] if depth else ["leaf"]))
    if kind == "leaf":
        annotation, values = draw(st.sampled_from(LEAVES))
        return annotation, draw(values)
    annotation, value = draw(typed_values(depth - 1))
    if kind == "list":
        return list[annotation], [value] * draw(st.integers(0, 2))
    if kind == "dict":
        return dict[str, annotation], {"a": value}
    if kind == "tuple":
        other, second = draw(typed_values(depth - 1))
        return tuple[annotation, other], (value, second)
    return annotation | None, draw(st.sampled_from([None, value]))


@given(typed_values())
def test_any_typed_value_is_written_as_delay_writes_it(typed):
    annotation, value = typed
    signature = task_of(annotation)
    assert schema_of(signature).write({"value": value}) == signature.bind((value,), {})
