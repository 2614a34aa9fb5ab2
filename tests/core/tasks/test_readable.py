"""A task whose arguments could be sent, and never be read, is refused before it is deployed."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from offload import DefinitionError
from offload.core.tasks.signature import Signature


class Colour(enum.Enum):
    RED = "red"


class Number(enum.Enum):
    ONE = 1


class Level(enum.IntEnum):
    LOW = 1


class Size(enum.StrEnum):
    S = "s"


class Day(enum.Enum):
    FIRST = dt.date(2026, 1, 1)


class Read(enum.Enum):
    FIRST = dt.date(2026, 1, 1)

    @classmethod
    def _missing_(cls, value):
        return cls.FIRST


class Holder(BaseModel):
    days: list[Day] = []


@dataclasses.dataclass
class WithInitVar:
    a: int
    b: dataclasses.InitVar[int]


class Unsent(BaseModel):
    a: int = Field(exclude=True)


class Mixed(BaseModel):
    model_config = ConfigDict(ser_json_bytes="base64")
    raw: bytes


def schema_of(annotation: Any) -> Any:
    def work(value): ...

    work.__annotations__ = {"value": annotation}
    return Signature("work", work).schema()


@pytest.mark.parametrize(
    ("annotation", "said"),
    [
        (Literal[Colour.RED], "Colour.RED cannot be read from its JSON form. Instead, derive its Enum from StrEnum"),
        (Literal["a", b"x"], "b'x' cannot be read from its JSON form. Instead, write a text for it"),
        (list[WithInitVar], "b is an InitVar, and its value is nowhere in the dataclass. Instead, write an ordinary"),
        (Unsent | None, "a is required, and exclude keeps it out of what is sent. Instead, give it a default"),
        (Mixed, "ser_json_bytes='base64' is not val_json_bytes='utf8': other bytes would arrive. Instead, give both"),
        (Day, "Day.FIRST cannot be read from its JSON form"),
        (Holder | None, "Day.FIRST cannot be read from its JSON form"),
        (dict[tuple[int, int], str], "a key of type tuple cannot be read from a text. Instead, take a list of pairs"),
        (dict[None, str], "a key of type none cannot be read from a text"),
        (dict[Number, str], r"not all keys of \[1\] can be read from texts. Instead, take texts, or an IntEnum"),
        (list[dict[Literal["a", 1], str]], r"not all keys of \['a', 1\] can be read from texts"),
    ],
)
def test_what_could_never_be_read_is_refused_with_a_way_out(annotation, said):
    with pytest.raises(DefinitionError, match=f"^task 'work': {said}"):
        schema_of(annotation)


@pytest.mark.parametrize(
    "annotation",
    [
        Literal[Size.S, Level.LOW, 1],
        Colour,
        Number,
        Read,
        dict[Colour, str],
        dict[Level, str],
        dict[Size, str],
        dict[Literal["a"], str],
        dict[dt.date, str],
        dict[bytes, str],
    ],
)
def test_what_can_be_read_is_taken(annotation):
    assert schema_of(annotation)["required"] == ["value"]
