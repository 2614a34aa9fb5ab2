"""Conditional writes as data.

Every change to a record is decided in the core as a `Write` and carried out by a store: DynamoDB compiles it to one
UpdateItem, the in-memory twin interprets it. What is tested in one holds in the other.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from offload.core.errors import OffloadError

if TYPE_CHECKING:
    from collections.abc import Mapping

Item = dict[str, Any]
"""An item of a table: attribute names to JSON values (texts, numbers, booleans, lists, maps)."""

Record = TypeVar("Record")
"""The type of the item that a write changes; see `core/records.py`."""

MOST_CONFLICTS = 5
"""How often a change is decided anew because somebody else has changed the record meanwhile."""

_ORDERED = {"<=": operator.le, ">=": operator.ge}

Operator = Literal["absent", "present", "=", "<>", "<=", ">="]


@dataclass(frozen=True, slots=True)
class Test:
    """One comparison of an attribute; a comparison with an absent attribute is false, `<>` included.

    Values of different types differ, `True` and 1 too, and neither is `<=` or `>=` the other. Only numbers and texts
    are ordered.
    """

    __test__ = False  # not a test class, whatever pytest thinks of the name

    attribute: str
    operator: Operator
    value: Any = None

    def holds(self, item: Mapping[str, Any] | None) -> bool:
        """Tell whether the test holds for an item, as DynamoDB would."""
        present = item is not None and self.attribute in item
        if self.operator == "absent":
            return not present
        if not present or item is None:
            return False
        actual = item[self.attribute]
        match self.operator:
            case "present":
                return True
            case "=" | "<>" as sign:
                return _same(actual, self.value) is (sign == "=")
            case sign:
                kind = _kind(actual)
                return kind in ("S", "N") and kind == _kind(self.value) and bool(_ORDERED[sign](actual, self.value))


def _kind(value: Any) -> str:
    match value:
        case bool():  # which is an int, too
            return "BOOL"
        case int() | float():
            return "N"
        case str():
            return "S"
        case dict():
            return "M"
        case list() | tuple():
            return "L"
    return "NULL"


def _same(one: Any, other: Any) -> bool:
    kind = _kind(one)
    if kind != _kind(other):
        return False
    if kind == "L":
        return len(one) == len(other) and all(map(_same, one, other))
    if kind == "M":
        return one.keys() == other.keys() and all(_same(value, other[name]) for name, value in one.items())
    return bool(one == other)


Condition = tuple[tuple[Test, ...], ...]
"""Alternatives of conjunctions; the empty tuple always holds."""


def holds(condition: Condition, item: Mapping[str, Any] | None) -> bool:
    """Tell whether a condition holds for an item (None: there is none)."""
    return not condition or any(all(test.holds(item) for test in case) for case in condition)


@dataclass(frozen=True, slots=True)
class Write(Generic[Record]):
    """One conditional update of one item; creates the item when it is absent and the condition allows it.

    Attributes:
        id: The item's key.
        when: What must hold.
        set: Attributes to set.
        default: Attributes to set only where absent.
        add: Numbers to add; an absent attribute counts as 0.
        append: Values to append to a list; an absent list begins with `base`, else it is empty.
        base: First entries of a list in `append`, for a record that does not have the list yet.
        remove: Attributes to remove.

    Raises:
        ValueError: An attribute is named twice; DynamoDB refuses such an update.
    """

    id: str
    when: Condition = ()
    set: Mapping[str, Any] = field(default_factory=dict)
    default: Mapping[str, Any] = field(default_factory=dict)
    add: Mapping[str, int] = field(default_factory=dict)
    append: Mapping[str, list[Any]] = field(default_factory=dict)
    base: Mapping[str, list[Any]] = field(default_factory=dict)
    remove: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check that each attribute is changed in one way."""
        parts = (self.set, self.default, self.add, self.append, self.remove)
        # Every job pays for this check, so the usual case only counts.
        if len(set().union(*parts)) != sum(map(len, parts)):
            names = [name for part in parts for name in part]
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"write of {self.id!r}: {twice} is named twice")


class Conflict(OffloadError):
    """The condition of a write did not hold, so nothing was written.

    Attributes:
        item: The item as it is, or None when there is none.
    """

    def __init__(self, item: Any) -> None:
        """Keep the item that the store answered with; its type is that of the write's record."""
        super().__init__("the condition of a write did not hold")
        self.item = item
