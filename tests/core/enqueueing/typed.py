"""Types of arguments, for the table of pairs."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import typing
import uuid
from typing import Annotated, Generic, Literal, NamedTuple, NotRequired, TypeVar

import pydantic
from pydantic import (
    AfterValidator,
    AliasChoices,
    AliasPath,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    RootModel,
    Tag,
    computed_field,
    field_validator,
    model_validator,
)
from typing_extensions import TypeAliasType, TypedDict

D = decimal.Decimal
NOON = dt.datetime(2026, 1, 2, 12, tzinfo=dt.UTC)
DAY = dt.date(2026, 1, 2)
ID = uuid.UUID("12345678-1234-4234-8234-123456789012")
T = TypeVar("T")


class Colour(enum.Enum):
    RED = "red"
    ONE = 1


class Level(enum.IntEnum):
    LOW = 1


class Size(enum.StrEnum):
    S = "s"


class Number(enum.Enum):
    ONE = 1


class Day(enum.Enum):
    FIRST = dt.date(2026, 1, 1)


class Loose(enum.Enum):
    A = "a"

    @classmethod
    def _missing_(cls, value):
        return cls.A


class Text(str):
    __slots__ = ()


class Point(NamedTuple):
    x: int
    y: bytes = b""


class Named(NamedTuple):
    a: D
    b: dt.date


class Plain(BaseModel):
    a: int
    b: float = 0.5


class Other(BaseModel):
    a: int
    c: str = "c"


class Blob(BaseModel):
    raw: bytes


class Base64Blob(BaseModel):
    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")
    raw: bytes


class HexBlob(BaseModel):
    model_config = ConfigDict(ser_json_bytes="hex", val_json_bytes="hex")
    raw: bytes


class Stripped(BaseModel):
    model_config = ConfigDict(str_strip_whitespace=True, str_max_length=3)
    name: str


class StrictModel(BaseModel):
    model_config = ConfigDict(strict=True)
    a: int
    at: dt.datetime | None = None


class Numbers(BaseModel):
    model_config = ConfigDict(coerce_numbers_to_str=True)
    a: str


class Node(BaseModel):
    value: int
    children: list[Node] = []


class Left(BaseModel):
    right: Right | None = None


class Right(BaseModel):
    left: Left | None = None


class One(BaseModel):
    a: int = Field(alias="A")


class Validated(BaseModel):
    a: dt.date = Field(validation_alias="in")


class Choices(BaseModel):
    a: int = Field(validation_alias=AliasChoices("x", "y"))


class Path(BaseModel):
    a: int = Field(validation_alias=AliasPath("in", 0))


class Serialized(BaseModel):
    a: int = Field(serialization_alias="out")


class Both(BaseModel):
    model_config = ConfigDict(extra="forbid")
    a: int = Field(validation_alias="in", serialization_alias="out")


class Computed(BaseModel):
    model_config = ConfigDict(extra="forbid")
    a: int

    @computed_field
    @property
    def double(self) -> int:
        return 2 * self.a


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, int]
    a: int


class Wide(BaseModel):
    """Fields whose names are words of schemas."""

    type: str
    schema_: int = 1
    metadata: dict[str, int] = {}
    cls: int | dt.date = 1
    default: int = 2


class Checked(BaseModel):
    a: int

    @field_validator("a")
    @classmethod
    def small(cls, value):
        if value > 5:
            raise ValueError("too large")
        return value


class Range(BaseModel):
    low: int
    high: int

    @model_validator(mode="after")
    def in_order(self):
        if self.low > self.high:
            raise ValueError("out of order")
        return self


class Factory(BaseModel):
    made: list[int] = Field(default_factory=list)
    price: D = D("1.10")
    raw: bytes = b"\x00"
    colour: Colour = Colour.RED


class WithInit(BaseModel):
    a: int

    def __init__(self, **data):
        super().__init__(**{"a": 1, **data})


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)
    a: int


class Wrapped(BaseModel, Generic[T]):
    inner: T


class Names(RootModel[dict[str, D]]): ...


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    name: str


class Circle(BaseModel):
    shape: Literal[1]
    r: float


class Square(BaseModel):
    shape: Literal[2, 3]
    side: float


class Options(TypedDict, total=False):
    depth: typing.Required[int]
    at: dt.date


class Closed(TypedDict):
    __pydantic_config__ = ConfigDict(extra="forbid")
    depth: int
    quick: NotRequired[bool]


class Renamed(TypedDict):
    depth: Annotated[int, Field(alias="Depth")]


@dataclasses.dataclass
class Box:
    width: D
    raw: bytes = b""
    tags: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Half:
    a: int
    made: int = dataclasses.field(init=False, default=7)


@dataclasses.dataclass(kw_only=True)
class Keyed:
    a: int
    b: dt.timedelta = dt.timedelta(seconds=1)


@dataclasses.dataclass
class AliasedBox:
    width: Annotated[int, Field(alias="Width")]


@pydantic.dataclasses.dataclass
class Pydantic:
    raw: bytes
    at: dt.datetime | None = None


@dataclasses.dataclass
class Posted:
    a: int

    def __post_init__(self):
        if self.a < 0:
            raise ValueError("negative")


def by_kind(value):
    return value.get("kind") if isinstance(value, dict) else value.kind


ByFunction = Annotated[
    Annotated[Cat, Tag("cat")] | Annotated[Dog, Tag("dog")],
    Discriminator(by_kind),
]
Tree = TypeAliasType("Tree", "list[Tree] | int")
Tagged = Annotated[Cat | Dog, Field(discriminator="kind")]
Shape = Annotated[Circle | Square, Field(discriminator="shape")]
Upper = Annotated[str, AfterValidator(str.upper)]


def positive(value):
    if value <= 0:
        raise ValueError("not positive")
    return value


@dataclasses.dataclass
class Order:
    number: int
    total: int = dataclasses.field(init=False, default=3)
    lines: list[int] = dataclasses.field(default_factory=list)


class Unsent(BaseModel):
    a: int
    b: int = Field(0, exclude=True)
