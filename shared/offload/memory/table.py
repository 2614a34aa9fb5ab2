"""The job table in memory: interprets a `Write` as DynamoDB does the compiled one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from offload.core.errors import Refused
from offload.core.writes import Conflict, holds

if TYPE_CHECKING:
    from collections.abc import Iterable

    from offload.core.clock import Clock
    from offload.core.jobs import Item
    from offload.core.writes import Write

LARGEST_ITEM = 400 * 1024
"""Bytes DynamoDB keeps in one item."""


class MemoryTable:
    """`JobStore` in memory. Everything handed in or out is a copy.

    Like DynamoDB, it keeps an expired record until it gets round to deleting it: `get` and `find` do not show it,
    `apply` meets it, and `sweep` is the deletion.
    """

    def __init__(self, clock: Clock) -> None:
        """Start empty; the clock tells which records have expired."""
        self._clock = clock
        self._items: dict[str, Item] = {}

    def apply(self, write: Write) -> Item:
        """Carry out a conditional write and return the item after it."""
        _check(write)
        item = self._items.get(write.id)
        if not holds(write.when, item):
            raise Conflict(_copy(item) if item is not None else None)
        changed = _changed(dict(item) if item is not None else {"id": write.id}, write)
        if len(json.dumps(changed, ensure_ascii=False, separators=(",", ":")).encode()) > LARGEST_ITEM:
            raise Refused(f"item {write.id!r} would be larger than {LARGEST_ITEM} bytes")
        self._items[write.id] = changed
        after: Item = _copy(changed)
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


def _changed(item: Item, write: Write) -> Item:
    """Carry out a write on a shallow copy; each value it puts there is a copy of its own."""
    for name, value in write.default.items():
        item.setdefault(name, _copy(value))
    for name, tail in write.append.items():
        present = item.get(name, [])
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
    names = [*_names(write)]
    if "id" in names:
        raise Refused(f"item {write.id!r}: the key cannot be changed")
    if len(names) != len(set(names)):
        twice = next(name for name in names if names.count(name) > 1)
        raise Refused(f"item {write.id!r}: {twice} is written twice in one write")


def _names(write: Write) -> Iterable[str]:
    for part in (write.set, write.default, write.add, write.append, write.remove):
        yield from part


def _copy(value: Any) -> Any:
    """Return what a store of JSON values gives back."""
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except ValueError as error:
        raise Refused(f"{value!r} cannot be stored: a number must be finite") from error
