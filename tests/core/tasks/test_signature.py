"""A signature as a schema: what is sent arrives, and what does not fit is named."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel, Field, TypeAdapter
from typing_extensions import TypedDict

from offload import DefinitionError, PayloadError, WrongResult, task


class Colour(Enum):
    RED = "red"
    BLUE = 2


@dataclass
class Point:
    x: int
    y: float = 0.0
    raw: bytes = b""


class Line(BaseModel):
    start: Point
    end: Point
    label: str | None = None


class Aliased(BaseModel):
    inside: int = Field(alias="in")


class Look(TypedDict, total=False):
    raw: bytes
    colour: Colour


POINTS = st.builds(Point, x=st.integers(), y=st.floats(allow_nan=False), raw=st.binary(max_size=20))
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
KINDS = {
    int: st.integers(),
    bool: st.booleans(),
    float: st.floats(allow_nan=False),
    str: TEXT,
    bytes: st.binary(),
    Decimal: st.decimals(allow_nan=False, allow_infinity=False),
    datetime: st.datetimes(timezones=st.just(UTC)),
    date: st.dates(),
    timedelta: st.timedeltas(min_value=timedelta(days=-10_000), max_value=timedelta(days=10_000)),
    UUID: st.uuids(),
    Colour: st.sampled_from(Colour),
    Literal["a", "b"]: st.sampled_from(["a", "b"]),
    int | None: st.none() | st.integers(),
    list[bytes]: st.lists(st.binary(max_size=9), max_size=4),
    dict[str, list[int]]: st.dictionaries(TEXT, st.lists(st.integers(), max_size=3), max_size=3),
    tuple[int, str]: st.tuples(st.integers(), TEXT),
    set[int]: st.sets(st.integers(), max_size=4),
    Point: POINTS,
    Line: st.builds(
        Line, start=st.builds(Point, x=st.integers()), end=st.builds(Point, x=st.integers()), label=st.none() | TEXT
    ),
    list[Point]: st.lists(POINTS, max_size=3),
    Look: st.fixed_dictionaries({}, optional={"raw": st.binary(max_size=9), "colour": st.sampled_from(Colour)}),
    Annotated[int, Field(ge=0)]: st.integers(min_value=0),
    Any: st.recursive(
        st.none() | st.booleans() | st.integers() | TEXT,
        lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
        max_leaves=5,
    ),
}


def taking(kind):
    def work(value): ...

    work.__annotations__ = {"value": kind, "return": kind}
    return task(work)


TASKS = {str(kind): (taking(kind), values) for kind, values in KINDS.items()}


@pytest.mark.parametrize("kind", TASKS)
@given(data=st.data())
def test_a_value_arrives_as_what_was_sent(kind, data):
    made, values = TASKS[kind]
    value = data.draw(values)
    payload = made.signature.bind((value,), {})
    sent = json.loads(json.dumps(payload, allow_nan=False))
    assert made.signature.read(sent) == {"value": value}
    assert type(made.signature.read(sent)["value"]) is type(value)
    text = made.signature.write_result(value)
    json.loads(text)
    assert made.signature.read_result(text) == value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_json_has_no_number_for_arrives_too(value):
    made = taking(float)
    sent = json.dumps(made.signature.bind((value,), {}), allow_nan=False)
    assert repr(made.signature.read(json.loads(sent))["value"]) == repr(value)
    assert repr(made.signature.read_result(made.signature.write_result(value))) == repr(value)


def test_bytes_inside_a_model_go_by_the_models_own_rules():
    class Blob(BaseModel):
        raw: bytes

    made = taking(Blob)
    assert made.signature.read(made.signature.bind((Blob(raw=b"text"),), {})) == {"value": Blob(raw=b"text")}
    with pytest.raises(PayloadError, match="cannot be written as JSON"):
        made.signature.bind((Blob(raw=b"\xff"),), {})


@task
def many(a: int, b: str = "b", *, c: float = 1.5, d: datetime | None = None) -> dict[str, Any]:
    return {"a": a, "b": b, "c": c, "d": d}


@pytest.mark.parametrize(
    ("args", "kwargs", "payload"),
    [
        ((1,), {}, {"a": 1}),
        ((1, "x"), {}, {"a": 1, "b": "x"}),
        ((), {"a": 1, "c": 2}, {"a": 1, "c": 2.0}),
        ((1,), {"d": datetime(2026, 1, 1, tzinfo=UTC)}, {"a": 1, "d": "2026-01-01T00:00:00Z"}),
        (("7",), {}, {"a": 7}),
    ],
)
def test_a_call_becomes_a_payload_of_what_was_given(args, kwargs, payload):
    assert many.signature.bind(args, kwargs) == payload
    many.function(**many.signature.read(payload))


@pytest.mark.parametrize(
    ("args", "kwargs", "said"),
    [
        ((), {}, "missing a required argument: 'a'"),
        ((), {"b": 1}, "missing a required argument: 'a'"),
        ((1, "b", 2.0), {}, "too many positional"),
        ((1,), {"a": 1}, "multiple values for argument 'a'"),
        ((1,), {"nope": 1}, "unexpected keyword argument 'nope'"),
        (("one",), {}, "a: Input should be a valid integer"),
        ((1,), {"d": "soon"}, "d: Input should be a valid datetime"),
    ],
)
def test_a_call_that_does_not_fit_is_refused_at_the_caller(args, kwargs, said):
    with pytest.raises(PayloadError) as refused:
        many.signature.bind(args, kwargs)
    assert str(refused.value).startswith("many: ")
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("args", "kwargs", "missing"),
    [((), {}, "'a', 'b', 'd'"), ((1,), {"c": 2}, "'b', 'd'"), ((), {"d": 1}, "'a', 'b'")],
)
def test_all_missing_arguments_are_named_at_once(args, kwargs, missing):
    @task
    def several(a: int, b: int, c: int = 1, *, d: int) -> None: ...

    with pytest.raises(PayloadError, match=f"several: missing required arguments: {missing}$"):
        several.signature.bind(args, kwargs)


def test_every_wrong_field_is_named_and_no_value_is_shown():
    with pytest.raises(PayloadError) as refused:
        many.signature.read({"b": 5, "c": "hunter2", "e": "hunter2"})
    for part in ("a: Field required", "b: Input should be a valid string", "c: ", "e: Extra inputs"):
        assert part in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_null_is_no_payload():
    with pytest.raises((PayloadError, TypeError)):
        dict(many.signature.read(None))


def test_a_task_stays_a_plain_callable():
    assert many(1, c=2.0) == {"a": 1, "b": "b", "c": 2.0, "d": None}
    assert many.__name__ == "many"


@pytest.mark.parametrize("kind", [list, dict, object(), (lambda: None)])
def test_a_default_that_json_does_not_know_is_kept_by_the_function(kind):
    @task
    def work(x: Any = kind) -> None: ...

    assert work.signature.bind((), {}) == work.signature.read({}) == {}
    work.signature.schema()


def test_a_mutable_default_is_not_shared_through_the_schema():
    @task
    def work(xs: list[int] = [1]) -> None: ...  # noqa: B006

    assert work.signature.schema()["properties"]["xs"]["default"] == [1]


def _definition(body: str) -> None:
    scope: dict[str, Any] = {"task": task}
    exec(body, scope)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("@task\ndef work(*args: int): ...", "arguments travel by name"),
        ("@task\ndef work(**rest): ...", "parameter **rest cannot be in a payload"),
        ("@task\ndef work(a, /): ...", "parameter a stands before `/`, so it has no name for callers"),
        ("from __future__ import annotations\n@task\ndef work(a: Missing): ...", "Import the name at module level"),
        ("import threading\n@task\ndef work(a: threading.Thread): ...", "parameters cannot be written as JSON"),
        ("import threading\n@task\ndef work() -> threading.Thread: ...", "return annotation cannot be written as JSON"),
        (
            "from pydantic import OnErrorOmit\n@task\ndef work(a: OnErrorOmit[int]): ...",
            "pydantic cannot check its parameters: SchemaError: Field 'a': 'on_error = omit' cannot be set for",
        ),
        ("task(lambda: None)", "a lambda has no name. Instead, write a def"),
        (
            "@task\nasync def work():\n    yield 1",
            "it is a generator, and a job returns one result. Instead, return a list",
        ),
        ("@task\ndef work():\n    yield 1", "it is a generator, and a job returns one result. Instead, return a list"),
        ("@task\nclass work: ...", "work cannot be a task: it is a class"),
        ("class Of:\n    @task\n    def work(self): ...", "Of.work cannot be a task: it is a method"),
        ("class Of:\n    @task\n    @staticmethod\n    def work(): ...", "Of.work cannot be a task: it is a method"),
        ("class Of:\n    def work(self): ...\ntask(Of().work)", "Of.work cannot be a task: it is a method"),
        ("import functools\ntask(functools.partial(max, 1))", "a partial has no name"),
        ("task(len)", "len cannot be a task: it is no function that is written in Python"),
        ("task(5)", "5 cannot be a task: it is no function that is written in Python"),
        ("@task\n@task\ndef work(): ...", "task 'work' is a task already"),
        (
            "import functools\nasync def inner(): ...\n@task\n@functools.wraps(inner)\ndef work(): return inner()",
            "its decorator makes an ordinary function of an async one",
        ),
        ("@task\ndef Work(): ...", "function name='Work' is not a task name"),
        ("@task\ndef " + "w" * 41 + "(): ...", "at most 40 characters"),
    ],
)
def test_what_cannot_be_a_task_is_refused_at_import(body, said):
    with pytest.raises(DefinitionError) as refused:
        _definition(body)
    assert said in str(refused.value)


def test_parameters_of_any_name():
    @task
    def work(schema: int, copy: int, json: int, model_config: int, self: int, cls: int, _private: int = 1) -> int:
        return schema

    payload = {"schema": 1, "copy": 2, "json": 3, "model_config": 4, "self": 5, "cls": 6}
    assert work.signature.bind((), payload) == payload
    assert work.signature.read(payload) == payload


def test_schemas_describe_what_is_taken():
    schema = many.signature.schema()
    assert schema["required"] == ["a"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["c"]["default"] == 1.5
    assert schema["type"] == "object"
    assert many.signature.result_schema()["type"] == "object"
    for name, (made, _) in TASKS.items():
        json.dumps([made.signature.schema(), made.signature.result_schema()])
        assert made.signature.schema()["required"] == ["value"], name


def test_a_result_is_read_into_its_type():
    async def work() -> Line: ...

    made = task(work)
    assert made.is_async
    line = Line(start=Point(1, raw=b"\xff"), end=Point(2))
    with pytest.raises(PayloadError):  # bytes under a model go by the model's rules
        made.signature.write_result(line)
    line = Line(start=Point(1), end=Point(2))
    assert made.signature.read_result(made.signature.write_result(line)) == line


def test_a_result_nested_in_itself_is_refused():
    loop: list[Any] = []
    loop.append(loop)
    made = taking(Any)
    with pytest.raises(PayloadError, match="result of type list"):
        made.signature.write_result(loop)
    with pytest.raises(PayloadError):
        made.signature.bind((loop,), {})


def test_a_deep_payload_does_not_break_the_reader():
    deep: Any = 1
    for _ in range(900):
        deep = [deep]
    made = taking(Any)
    with pytest.raises(PayloadError, match="recursion limit"):
        made.signature.read({"value": deep})


def test_a_result_of_another_type_is_told_as_such():
    @task
    def work() -> int:
        return "many"

    with pytest.raises(PayloadError, match="not what the task is annotated to return"):
        work.signature.read_result('"many"')


@pytest.mark.parametrize(
    ("annotation", "value", "said"),
    [
        (int, "many", "the result is not what `-> int` allows: result: Input should be a valid integer"),
        (list[Point], [Point(1), {"x": "y"}], "1.x: Input should be a valid integer"),
        (Literal["a"], "b", "Input should be 'a'"),
        (int, None, "the result is None, and the task is annotated -> int"),
        (None, 5, "`-> None` allows: result: Input should be "),
    ],
)
def test_a_result_that_its_reader_could_not_read_is_refused_with_the_place_and_the_annotation(annotation, value, said):
    def work(): ...

    work.__annotations__["return"] = annotation
    with pytest.raises(WrongResult, match=r"^work: ") as refused:
        task(work).signature.write_result(value)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [(None, None), (int | None, None), (Any, None), (Any, {"x": [1]}), (float, 1), (Aliased, Aliased(**{"in": 1}))],
)
def test_a_result_that_fits_is_read_back(annotation, value):
    def work(): ...

    work.__annotations__["return"] = annotation
    signature = task(work).signature
    assert signature.read_result(signature.write_result(value)) == value


def test_a_result_without_an_annotation_is_not_read():
    @task
    def work(): ...

    assert work.signature.write_result({"any": "thing"}) == '{"any":"thing"}'


def test_a_model_whose_fields_go_by_other_names_outside_is_taken_by_both():
    made = taking(Aliased)

    (given,) = made.signature.read(made.signature.bind((Aliased(**{"in": 1}),), {})).values()
    (sent,) = made.signature.read({"value": {"in": 1}}).values()
    assert given == sent == Aliased(**{"in": 1})


def test_a_decorated_function_is_judged_by_what_is_decorated():
    @task
    @functools.lru_cache
    def work(a: int) -> int:
        return a

    assert work(3) == 3


def test_adapters_need_no_help_from_pydantic():
    assert TypeAdapter(Point).validate_python({"x": 1}) == Point(1)


@pytest.mark.parametrize("error", [AttributeError("hunter2"), KeyError("hunter2"), ZeroDivisionError("hunter2")])
def test_whatever_a_validator_of_the_tasks_own_raises_the_payload_is_wrong(error):
    def check(value):
        raise error

    made = taking(Annotated[int, AfterValidator(check)])
    for call in (lambda: made.signature.bind((5,), {}), lambda: made.signature.read({"value": 5})):
        with pytest.raises(PayloadError, match=f"a validator of the task's own raised {type(error).__name__}$"):
            call()


def test_a_validator_that_gets_no_answer_says_nothing_of_the_payload():
    def check(value):
        raise ConnectionError("no answer")

    made = taking(Annotated[int, AfterValidator(check)])
    for call in (lambda: made.signature.bind((5,), {}), lambda: made.signature.read({"value": 5})):
        with pytest.raises(ConnectionError):
            call()
