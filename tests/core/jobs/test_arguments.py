"""Equal arguments have one text and one payload, whatever the order in which they were written."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, field_serializer

from offload import KeyReused, PayloadError, task
from offload.core.enqueueing.payload_schema import PayloadSchema
from offload.core.jobs.arguments import as_read, as_set, canonical
from offload.core.jobs.idempotency_keys import KeyUse

SAME = [
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ({"a": {"x": [1, "å"]}}, {"a": {"x": (1, "å")}}),
    ({"a": {1: 2}}, {"a": {"1": 2}}),
    ({"a": 1}, {"a": 1.0}),
    ({"a": 0}, {"a": -0.0}),
    ({"a": 0.0}, {"a": -0.0}),
    ({"a": [{"x": 1e16}]}, {"a": [{"x": 10**16}]}),
]
OTHER = [
    ({"a": 1}, {"a": "1"}),
    ({"a": None}, {}),
    ({"a": [1, 2]}, {"a": [2, 1]}),
    ({"a": True}, {"a": 1}),
    ({"a": False}, {"a": 0}),
    ({"a": 2**53 + 1}, {"a": float(2**53)}),
    ({"a": 1.5}, {"a": 1}),
    ({"a": "1.0"}, {"a": "1.00"}),
    ({"a": "é"}, {"a": "e\u0301"}),
]


def use(payload, salt="salt", **options):
    return KeyUse("work", "k", canonical(payload), salt, **options)


@pytest.mark.parametrize(("one", "other"), SAME)
def test_equal_arguments_are_equal(one, other):
    assert canonical(one) == canonical(other)
    assert use(one).digest("s") == use(other).digest("s")


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_other_arguments_are_other(one, other):
    assert canonical(one) != canonical(other)
    assert use(one).digest("s") != use(other).digest("s")


scalars = st.none() | st.text() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)


@given(values, values)
def test_texts_are_equal_where_python_says_that_values_are(one, other):
    assert (canonical(one) == canonical(other)) is (one == other)


@given(values, st.randoms(use_true_random=False))
def test_the_order_of_names_changes_nothing(value, rng):
    def shuffled(each):
        if isinstance(each, dict):
            names = list(each)
            rng.shuffle(names)
            return {name: shuffled(each[name]) for name in names}
        return [shuffled(item) for item in each] if isinstance(each, list) else each

    assert canonical(shuffled(value)) == canonical(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {(1, 2): 3}])
def test_what_is_no_json_is_told(value):
    with pytest.raises(PayloadError, match="work: the payload cannot be written as JSON"):
        KeyUse.of("work", "k", {"a": value}, random.Random(1))


def test_a_digest_depends_on_its_salt():
    one = use({"pin": "1234"})
    assert one.digest("a") != one.digest("b")
    assert len(one.digest("a")) == 32
    named = {"job": "j", "digest": one.digest("a"), "salt": "a", "until": 1}
    use({"pin": "1234"}, salt="b").check_arguments(named)
    with pytest.raises(KeyReused):
        use({"pin": "1235"}, salt="a").check_arguments(named)
    use({"pin": "1235"}, may_differ=True).check_arguments(named)


def test_each_use_draws_a_salt():
    rng = random.Random(1)
    drawn = {KeyUse.of("work", "k", {}, rng).salt for _ in range(10)}
    assert len(drawn) == 10


# Sets


def test_a_set_is_written_sorted_and_each_item_once():
    assert as_set(["b", "a", "b"]) == ["a", "b"]
    assert as_set([{"y": 1, "x": 2}, {"x": 2, "y": 1.0}, [1]]) == [[1], {"y": 1, "x": 2}]


class Place(NamedTuple):
    row: int
    tags: frozenset[str]


@dataclass(frozen=True)
class Box:
    tags: frozenset[str]


class Letter(BaseModel, frozen=True):
    to: frozenset[str]
    box: Box


class Told(BaseModel):
    """Writes itself in a way of its own."""

    tags: set[str]

    @field_serializer("tags")
    def _in_one_text(self, tags: set[str]) -> list[str]:
        return ["as it is", *sorted(tags, reverse=True)]


WORDS = ["pear", "apple", "fig", "kiwi", "lime", "plum"]


@task
def gather(
    words: set[str] | None = None,
    days: frozenset[date] | None = None,
    letters: list[Letter] | None = None,
    nested: set[frozenset[int]] | None = None,
    by_name: dict[str, set[int]] | None = None,
    place: Place | None = None,
    anything: Any = None,
    numbers: set[float] | None = None,
) -> None: ...


@task
def tell(told: Told) -> None: ...


def arguments(words):
    box = Box(frozenset(words))
    return {
        "words": set(words),
        "days": frozenset(date(2026, 1, len(word)) for word in words),
        "letters": [Letter(to=frozenset(words), box=box), Letter(to=frozenset(), box=box)],
        "nested": {frozenset(range(len(word))) for word in words},
        "by_name": {"a": {len(word) for word in words}},
        "place": Place(1, frozenset(words)),
        "anything": {"deep": [set(words), (frozenset(words), 1)]},
        "numbers": {3, 1, 2.0, -0.0},
    }


def test_sets_are_sorted_wherever_they_are():
    payload = gather.signature.bind((), arguments(WORDS))
    ordered = sorted(WORDS)
    assert payload["words"] == payload["place"][1] == payload["letters"][0]["to"] == ordered
    assert payload["letters"][1] == {"to": [], "box": {"tags": ordered}}
    assert payload["anything"] == {"deep": [ordered, [ordered, 1]]}
    assert payload["days"] == sorted(payload["days"])
    assert payload["nested"] == as_set(payload["nested"])
    assert payload["by_name"] == {"a": [3, 4, 5]}
    assert canonical(payload["numbers"]) == "[0,1,2,3]"
    assert gather.signature.read(payload)["words"] == set(WORDS)


def test_what_a_serializer_of_the_users_own_wrote_stays_as_it_is():
    payload = tell.signature.bind((Told(tags=set(WORDS)),), {})
    assert payload == {"told": {"tags": ["as it is", *sorted(WORDS, reverse=True)]}}


@pytest.mark.parametrize(
    ("value", "written"),
    [({"a": 1}, {"a": 1, "b": [2]}), ({1, 2}, [3]), ("ab", ["a", "b"]), (7, [1]), (None, {"a": [2, 1]})],
)
def test_where_shapes_differ_the_written_form_stays(value, written):
    assert as_read(value, written) == written


def test_by_name_the_payload_is_that_of_delay():
    schema = PayloadSchema("gather", gather.signature.schema())
    bound = gather.signature.bind((), arguments(WORDS))
    assert schema.write(arguments(WORDS)) == bound
    # A set has no form of its own in JSON: any order of its items is the same set.
    given = {"words": [*reversed(WORDS), "fig"], "numbers": [2, 1, 2.0], "anything": ["b", "a"]}
    assert schema.write(given) == {"words": sorted(WORDS), "numbers": [1.0, 2.0], "anything": ["b", "a"]}


_PROGRAM = """
import json
from tests.core.jobs.test_arguments import WORDS, arguments, gather
print(json.dumps(gather.signature.bind((), arguments(WORDS))))
"""


def test_two_processes_write_equal_arguments_as_the_same_bytes():
    told = {
        subprocess.run(
            [sys.executable, "-c", _PROGRAM],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(told) == 1
    assert json.loads(told.pop())["words"] == sorted(WORDS)


def test_what_json_writes_as_a_text_is_compared_as_that_text():
    @task
    def pay(amount: Decimal, at: datetime) -> None: ...

    now = datetime(2026, 1, 1, tzinfo=UTC)
    one, other = (canonical(pay.signature.bind((Decimal(text), now), {})) for text in ("1.0", "1.00"))
    assert one != other
