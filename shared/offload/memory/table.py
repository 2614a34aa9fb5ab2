"""The job table in memory: it carries out a `Write` with the effect that the compiled write has on DynamoDB."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from offload.core.errors import Refused
from offload.core.writes import Conflict, holds

if TYPE_CHECKING:
    from collections.abc import Callable

    from offload.core.clock import Clock
    from offload.core.records import JobRecord
    from offload.core.writes import Item, Record, Write

LARGEST_ITEM = 400 * 1024
"""Bytes that DynamoDB accepts in one item."""


class MemoryTable:
    """`JobStore` in memory. Every argument and every answer is a copy.

    An expired record stays in the table until `sweep` deletes it, because DynamoDB deletes expired records late. `get`
    and `find` do not return an expired record; `apply` does not hide it from conditions.

    Attributes:
        on_applied: Called after each write that was carried out, with the write, the item before (None when there was
            no item) and the item after.
    """

    def __init__(self, clock: Clock) -> None:
        """Start empty; the clock's time decides which records have expired."""
        self._clock = clock
        self._items: dict[str, Item] = {}
        self.on_applied: Callable[[Write[Any], Item | None, Item], None] = _ignore

    def apply(self, write: Write[Record]) -> Record:
        """Carry out a conditional write and return the item after it."""
        _check_write(write)
        item = self._items.get(write.id)
        if not holds(write.when, item):
            raise Conflict(_copy(item) if item is not None else None)
        changed = _carry_out(write, dict(item) if item is not None else {"id": write.id})
        text = _encode(changed)
        if len(text) > LARGEST_ITEM // 4 and len(text.encode("utf-8", "surrogatepass")) > LARGEST_ITEM:
            raise Refused(f"item {write.id!r} would be larger than {LARGEST_ITEM} bytes")
        self._items[write.id] = changed
        after: Record = _decode(text)
        self.on_applied(write, item, changed)
        return after

    def get(self, key: str) -> JobRecord | None:
        """Read one item, consistently."""
        item = self._items.get(key)
        return _copy(item) if item is not None and self._is_unexpired(item) else None

    def find(self, partition: str, *, limit: int) -> list[JobRecord]:
        """Read an index partition, newest first; items carry every attribute."""
        indexed = [item for item in self._items.values() if item.get("idx") == partition and "idx_at" in item]
        newest = sorted(filter(self._is_unexpired, indexed), key=lambda item: item["idx_at"], reverse=True)
        return [_copy(item) for item in newest[:limit]]

    def items(self) -> list[Item]:
        """Return every item, expired ones included, sorted by key, for tests."""
        return [_copy(self._items[key]) for key in sorted(self._items)]

    def change(self, key: str, **attributes: Any) -> None:
        """Set attributes of an item without any condition, so that a test can make a rare record."""
        self._items[key] = {**self._items[key], **_copy(attributes)}

    def delete(self, *keys: str) -> None:
        """Delete the items of some keys; without keys, delete all items."""
        for key in keys or list(self._items):
            del self._items[key]

    def sweep(self) -> None:
        """Delete expired items, as DynamoDB does within days."""
        self._items = {key: item for key, item in self._items.items() if self._is_unexpired(item)}

    def _is_unexpired(self, item: Item) -> bool:
        return "ttl" not in item or bool(item["ttl"] * 1000 > self._clock.now())


def _ignore(_write: Write[Any], _before: Item | None, _after: Item) -> None:
    """Do nothing: the default of `MemoryTable.on_applied`."""


def _carry_out(write: Write[Any], item: Item) -> Item:
    """Change an item as a write says, and return it.

    The item is a shallow copy of the stored one. Each value that the write sets is copied, so that caller and store
    share no value.
    """
    for name, value in write.default.items():
        item.setdefault(name, _copy(value))
    for name, tail in write.append.items():
        present = item.get(name, _copy(write.base.get(name, [])))
        if not isinstance(present, list):
            raise Refused(f"item {write.id!r}: {name} is not a list, so nothing can be appended to it")
        item[name] = [*present, *_copy(tail)]
    for name, amount in write.add.items():
        present = item.get(name, 0)
        if isinstance(present, bool) or not isinstance(present, int | float):
            raise Refused(f"item {write.id!r}: {name} is not a number, so nothing can be added to it")
        item[name] = present + amount
    for name, value in write.set.items():
        item[name] = _copy(value)
    for name in write.remove:
        item.pop(name, None)
    return item


def _check_write(write: Write[Any]) -> None:
    """Raise an error for a write that DynamoDB refuses whatever the item is.

    Raises:
        Refused: The key is empty, or the write changes the key.
    """
    if not write.id:
        raise Refused("a key cannot be empty")
    if any("id" in part for part in (write.set, write.default, write.add, write.append, write.remove)):
        raise Refused(f"item {write.id!r}: the key cannot be changed")


_encode = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode
_decode = json.JSONDecoder().decode


def _copy(value: Any) -> Any:
    """Return a value as it is after a store has kept it as JSON."""
    if value is None or type(value) in (str, int, bool):
        return value
    try:
        return _decode(_encode(value))
    except ValueError as error:
        raise Refused(f"{value!r} cannot be stored: a number must be finite") from error
