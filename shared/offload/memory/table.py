"""The job table in memory: interprets a `Write` as DynamoDB does the compiled one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from offload.core.errors import Refused
from offload.core.writes import Conflict, holds

if TYPE_CHECKING:
    from collections.abc import Callable

    from offload.core.clock import Clock
    from offload.core.jobs import Item
    from offload.core.writes import Write

LARGEST_ITEM = 400 * 1024
"""Bytes DynamoDB keeps in one item."""


class MemoryTable:
    """`JobStore` in memory. Everything handed in or out is a copy.

    Like DynamoDB, it keeps an expired record until it gets round to deleting it: `get` and `find` do not show it,
    `apply` meets it, and `sweep` is the deletion.

    Attributes:
        applied: Told of each write that was carried out: the write, the item before (None: there was none) and after.
    """

    def __init__(self, clock: Clock) -> None:
        """Start empty; the clock tells which records have expired."""
        self._clock = clock
        self._items: dict[str, Item] = {}
        self.applied: Callable[[Write, Item | None, Item], None] = _unheard

    def apply(self, write: Write) -> Item:
        """Carry out a conditional write and return the item after it."""
        _check(write)
        item = self._items.get(write.id)
        if not holds(write.when, item):
            raise Conflict(_copy(item) if item is not None else None)
        changed = _changed(dict(item) if item is not None else {"id": write.id}, write)
        text = _encode(changed)
        if len(text) > LARGEST_ITEM // 4 and len(text.encode("utf-8", "surrogatepass")) > LARGEST_ITEM:
            raise Refused(f"item {write.id!r} would be larger than {LARGEST_ITEM} bytes")
        self._items[write.id] = changed
        after: Item = _decode(text)
        self.applied(write, item, changed)
        return after

    def get(self, key: str) -> Item | None:
        """Read one item, consistently."""
        item = self._items.get(key)
        return _copy(item) if item is not None and self._alive(item) else None

    def find(self, partition: str, *, limit: int) -> list[Item]:
        """Read an index partition, newest first; items carry every attribute."""
        indexed = [item for item in self._items.values() if item.get("idx") == partition and "idx_at" in item]
        newest = sorted(filter(self._alive, indexed), key=lambda item: item["idx_at"], reverse=True)
        return [_copy(item) for item in newest[:limit]]

    def items(self) -> list[Item]:
        """Return every record, expired ones included, by key: what a test looks at."""
        return [_copy(self._items[key]) for key in sorted(self._items)]

    def sweep(self) -> None:
        """Delete what has expired, as DynamoDB does within days."""
        self._items = {key: item for key, item in self._items.items() if self._alive(item)}

    def _alive(self, item: Item) -> bool:
        return "ttl" not in item or bool(item["ttl"] * 1000 > self._clock.now())


def _unheard(_write: Write, _before: Item | None, _after: Item) -> None:
    pass


def _changed(item: Item, write: Write) -> Item:
    """Carry out a write on a shallow copy; each value it puts there is a copy of its own."""
    for name, value in write.default.items():
        item.setdefault(name, _copy(value))
    for name, tail in write.append.items():
        present = item.get(name, _copy(write.base.get(name, [])))
        if not isinstance(present, list):
            raise Refused(f"item {write.id!r}: {name} is no list to append to")
        item[name] = [*present, *_copy(tail)]
    for name, amount in write.add.items():
        present = item.get(name, 0)
        if isinstance(present, bool) or not isinstance(present, int | float):
            raise Refused(f"item {write.id!r}: {name} is no number to add to")
        item[name] = present + amount
    for name, value in write.set.items():
        item[name] = _copy(value)
    for name in write.remove:
        item.pop(name, None)
    return item


def _check(write: Write) -> None:
    """Refuse what DynamoDB refuses before it looks at the item."""
    if not write.id:
        raise Refused("a key cannot be empty")
    if any("id" in part for part in (write.set, write.default, write.add, write.append, write.remove)):
        raise Refused(f"item {write.id!r}: the key cannot be changed")


_encode = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode
_decode = json.JSONDecoder().decode


def _copy(value: Any) -> Any:
    """Return what a store of JSON values gives back."""
    if value is None or type(value) in (str, int, bool):
        return value
    try:
        return _decode(_encode(value))
    except ValueError as error:
        raise Refused(f"{value!r} cannot be stored: a number must be finite") from error
