"""Arguments as they are compared: equal arguments have one text, whatever the order in which they were written.

| in the arguments                     | is compared                                                                  |
|--------------------------------------|------------------------------------------------------------------------------|
| names of an object                   | in any order                                                                 |
| items of a set                       | in any order: the payload has them sorted                                    |
| items of a list                      | in their order                                                               |
| numbers                              | by their value: `1` and `1.0` are equal, and so are `0.0` and `-0.0`         |
| `true`, `false`                      | as they are: `true` is not `1`                                               |
| all that JSON writes as a text       | by that text: `Decimal("1.0")` is not `Decimal("1.00")`, one moment in two   |
|                                      | time zones is two texts                                                      |
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import fields as dataclass_fields
from dataclasses import is_dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

_NESTED = (list, dict)


def canonical(value: Any) -> str:
    """Return the one JSON text of a value and of all that equal it.

    Raises:
        TypeError, ValueError, RecursionError: It cannot be written as JSON.
    """
    # Written twice: a name that is no text becomes one in JSON, and only texts can be sorted.
    plain = json.loads(json.dumps(value, allow_nan=False), parse_float=_number)
    return json.dumps(plain, sort_keys=True, separators=(",", ":"))


def _number(text: str) -> float | int:
    number = float(text)
    return int(number) if number.is_integer() else number


def as_set(items: Iterable[Any]) -> list[Any]:
    """Return JSON values sorted, each once, as a set of them is written."""
    by_text: dict[str, Any] = {}
    for item in items:
        by_text.setdefault(canonical(item), item)
    return [by_text[text] for text in sorted(by_text)]


def as_read(value: Any, written: Any) -> Any:
    """Return what a value was written as, in the form in which it is read.

    The items of each set are sorted: Python hands them out in an order that changes from one process to the next. The
    fields that a dataclass makes itself (`init=False`) are left out: it takes no values for them.

    Args:
        value: The value.
        written: Its JSON form, whose lists have the order of the value's own. Where the two have other shapes, because
            a serializer of the user's own wrote the value, the JSON form stays as it is.
    """
    if isinstance(written, list):
        return _list(value, written)
    if isinstance(written, dict):
        return _object(value, written)
    return written


def _list(value: Any, written: list[Any]) -> list[Any]:
    is_set = isinstance(value, AbstractSet)
    if isinstance(value, str | bytes | Mapping) or not hasattr(value, "__len__") or len(value) != len(written):
        return written
    items = [
        as_read(one, other) if isinstance(other, _NESTED) else other for one, other in zip(value, written, strict=True)
    ]
    return sorted(items, key=canonical) if is_set else items


def _object(value: Any, written: dict[str, Any]) -> dict[str, Any]:
    if isinstance(value, Mapping):
        if len(value) != len(written):
            return written
        fields = dict(zip(written, value.values(), strict=True))
    else:  # a model, a dataclass
        derived = {field.name for field in dataclass_fields(value) if not field.init} if is_dataclass(value) else ()
        written = {name: item for name, item in written.items() if name not in derived}
        fields = {name: getattr(value, name, None) for name in written}
    return {name: as_read(fields[name], item) if isinstance(item, _NESTED) else item for name, item in written.items()}
