"""The job table in memory: it carries out a `Write` with the effect that the compiled write has on DynamoDB."""

from __future__ import annotations

import heapq
import json
from bisect import bisect_left, insort
from collections import defaultdict
from itertools import islice
from typing import TYPE_CHECKING, Any

from offload.core.errors import Refused
from offload.core.writes import Conflict, holds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from offload.core.clock import Clock
    from offload.core.errors import OffloadError
    from offload.core.records import JobRecord
    from offload.core.writes import Item, Record, Write

LARGEST_ITEM = 400 * 1024
"""Bytes that DynamoDB accepts in one item."""


class MemoryTable:
    """`JobStore` in memory. Every argument and every answer is a copy.

    DynamoDB deletes expired records late. Until then `get` and `find` do not return an expired record, and `apply` does
    not hide it from conditions.

    Attributes:
        on_applied: Called after each write that was carried out, with the write, the item before (None when there was
            no item) and the item after.
        on_expired: Called with the key of each expired record that is deleted.
        deletion_delay: Called for each record with a `ttl`. Returns the seconds after which an expired record is
            deleted; None leaves expired records to `sweep`.
    """

    def __init__(self, clock: Clock) -> None:
        """Start empty; the clock's time decides which records have expired."""
        self._clock = clock
        # As JSON text: no value is shared with a caller, and many records are no burden for Python's garbage collector.
        self._texts: dict[str, str] = {}
        self._index: dict[str, list[tuple[int, str]]] = defaultdict(list)
        self._deletions: list[tuple[float, str, float]] = []
        self._awaiting_deletion: set[str] = set()
        self.on_applied: Callable[[Write[Any], Item | None, Item], None] = _ignore
        self.on_expired: Callable[[str], None] = _ignore_key
        self.deletion_delay: Callable[[], float] | None = None

    def apply(self, write: Write[Record], *, brief: bool = False) -> Record:  # noqa: ARG002 - memory is always quick
        """Carry out a conditional write and return the item after it."""
        _check_write(write)
        item = self.item(write.id)
        if not holds(write.when, item):
            raise Conflict(item)
        after = _carry_out(write, dict(item) if item is not None else {"id": write.id})
        text = _encode(after)
        if len(text) > LARGEST_ITEM // 4 and len(text.encode("utf-8", "surrogatepass")) > LARGEST_ITEM:
            raise Refused(f"item {write.id!r} would be larger than {LARGEST_ITEM} bytes")
        self._put(item, after, text)
        self.on_applied(write, item, after)
        return after  # type: ignore[return-value]

    def apply_many(self, writes: Sequence[Write[Record]]) -> list[Record | OffloadError]:
        """Carry out conditional writes one after the other; each has the item after it, or its error."""
        outcomes: list[Record | OffloadError] = []
        for write in writes:
            try:
                outcomes.append(self.apply(write))
            except (Conflict, Refused) as error:
                outcomes.append(error)
        return outcomes

    def get(self, key: str, *, brief: bool = False) -> JobRecord | None:  # noqa: ARG002
        """Read one item, consistently."""
        item = self.item(key)
        return item if item is not None and self._is_unexpired(item) else None  # type: ignore[return-value]

    def get_many(self, keys: Iterable[str]) -> dict[str, JobRecord]:
        """Read items, consistently; a key without an item is left out."""
        found = {key: self.get(key) for key in keys}
        return {key: item for key, item in found.items() if item is not None}

    def find(self, partition: str, *, limit: int) -> list[JobRecord]:
        """Read an index partition, newest first; items carry every attribute."""
        self._delete_expired()
        newest_first = (_decode(self._texts[key]) for _, key in reversed(self._index.get(partition, ())))
        return list(islice(filter(self._is_unexpired, newest_first), limit))

    def items(self) -> list[Item]:
        """Return every item, expired ones included, sorted by key, for tests."""
        self._delete_expired()
        return [_decode(self._texts[key]) for key in sorted(self._texts)]

    def item(self, key: str) -> Item | None:
        """Return one item, even an expired one, for tests."""
        self._delete_expired()
        text = self._texts.get(key)
        return None if text is None else _decode(text)

    def change(self, key: str, **attributes: Any) -> None:
        """Set attributes of an item without any condition, so that a test can make a rare record."""
        before = _decode(self._texts[key])
        after = {**before, **_copy(attributes)}
        self._put(before, after, _encode(after))

    def delete(self, *keys: str) -> None:
        """Delete the items of some keys; without keys, delete all items."""
        for key in keys or list(self._texts):
            self._unlist(_decode(self._texts.pop(key)))

    def sweep(self) -> None:
        """Delete expired items at once, which DynamoDB does within days."""
        for item in self.items():
            if not self._is_unexpired(item):
                self.delete(item["id"])

    def _put(self, before: Item | None, after: Item, text: str) -> None:
        """Store an item, list it in the index, and note when it will be deleted."""
        key = after["id"]
        if before is None or _entry(before) != _entry(after):
            if before is not None:
                self._unlist(before)
            partition, entry = _entry(after)
            if partition is not None:
                insort(self._index[partition], entry)
        self._texts[key] = text
        if self.deletion_delay is not None and "ttl" in after and key not in self._awaiting_deletion:
            self._awaiting_deletion.add(key)
            self._plan_deletion(key, after, self.deletion_delay())

    def _unlist(self, item: Item) -> None:
        partition, entry = _entry(item)
        if partition is not None:
            del self._index[partition][bisect_left(self._index[partition], entry)]

    def _plan_deletion(self, key: str, item: Item, late: float) -> None:
        heapq.heappush(self._deletions, (item["ttl"] + late, key, late))

    def _delete_expired(self) -> None:
        """Delete the expired items whose time has come; an item that lives longer meanwhile is planned anew."""
        now = self._clock.now() / 1000
        while self._deletions and self._deletions[0][0] <= now:
            _, key, late = heapq.heappop(self._deletions)
            item = _decode(self._texts[key]) if key in self._texts else None
            if item is not None and item.get("ttl", now) + late > now:
                self._plan_deletion(key, item, late)
                continue
            self._awaiting_deletion.discard(key)
            if item is not None:
                self.delete(key)
                self.on_expired(key)

    def _is_unexpired(self, item: Item) -> bool:
        return "ttl" not in item or bool(item["ttl"] * 1000 > self._clock.now())


def _ignore(_write: Write[Any], _before: Item | None, _after: Item) -> None:
    """Do nothing: the default of `MemoryTable.on_applied`."""


def _ignore_key(_key: str) -> None:
    """Do nothing: the default of `MemoryTable.on_expired`."""


def _entry(item: Item) -> tuple[str | None, tuple[int, str]]:
    """Return the index partition of an item and its place there; no partition for an item that is not listed."""
    listed = "idx" in item and "idx_at" in item
    return (item["idx"] if listed else None), (item.get("idx_at", 0), item["id"])


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
