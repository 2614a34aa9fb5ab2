"""Conditional writes as data.

Every change to a record is decided in the core as a `Write` and carried out by a store: DynamoDB compiles it to one
UpdateItem, the in-memory twin interprets it. What is tested in one holds in the other.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from offload.core.errors import OffloadError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from offload.core.jobs import Item

_COMPARE = {"=": operator.eq, "<>": operator.ne, "<=": operator.le, ">=": operator.ge}

Operator = Literal["absent", "present", "=", "<>", "<=", ">="]


@dataclass(frozen=True, slots=True)
class Test:
    """One comparison of an attribute; a comparison with an absent attribute is false, `<>` included."""

    __test__ = False  # not a test class, whatever pytest thinks of the name

    attribute: str
    operator: Operator
    value: Any = None

    def holds(self, item: Item | None) -> bool:
        """Tell whether the test holds for an item, as DynamoDB would."""
        present = item is not None and self.attribute in item
        if self.operator == "absent":
            return not present
        if not present or item is None:
            return False
        actual = item[self.attribute]
        return self.operator == "present" or bool(_COMPARE[self.operator](actual, self.value))


Condition = tuple[tuple[Test, ...], ...]
"""Alternatives of conjunctions; the empty tuple always holds."""


def holds(condition: Condition, item: Item | None) -> bool:
    """Tell whether a condition holds for an item (None: there is none)."""
    return not condition or any(all(test.holds(item) for test in case) for case in condition)


@dataclass(frozen=True, slots=True)
class Write:
    """One conditional update of one item; creates the item when it is absent and the condition allows.

    Attributes:
        id: The item's key.
        when: What must hold.
        set: Attributes to set.
        default: Attributes to set only where absent.
        add: Numbers to add; an absent attribute counts as 0.
        append: Values to append to a list; an absent list counts as empty.
        remove: Attributes to remove.
    """

    id: str
    when: Condition = ()
    set: Mapping[str, Any] = field(default_factory=dict)
    default: Mapping[str, Any] = field(default_factory=dict)
    add: Mapping[str, int] = field(default_factory=dict)
    append: Mapping[str, list[Any]] = field(default_factory=dict)
    remove: tuple[str, ...] = ()


class Conflict(OffloadError):
    """The condition did not hold.

    Attributes:
        item: The item as it is, or None when there is none.
    """

    def __init__(self, item: Item | None) -> None:
        """Keep the item the store answered with."""
        super().__init__("the condition of a write did not hold")
        self.item = item
