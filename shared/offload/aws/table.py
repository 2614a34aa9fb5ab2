"""The job table on DynamoDB: key `id`, sparse index `by_state` (`idx`, `idx_at`), expiry `ttl` in epoch seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from offload.aws import items
from offload.aws.calls import Ambiguous, Call
from offload.core.clock import Clock, SystemClock
from offload.core.manifest import INDEX

if TYPE_CHECKING:
    from collections.abc import Iterator

    from offload.core.jobs import Item
    from offload.core.writes import Condition, Test, Write


class JobTable:
    """`JobStore` on DynamoDB: one request a write, whatever it does.

    DynamoDB deletes an expired record up to days late. `get` and `find` do not show it. `apply` takes the record as it
    lies there: it must not be made to look absent, because an update would merge with what is left of it. A write that
    wants to take over an expired record says so in its condition (`ttl` `<=` now) and removes what it replaces.

    A request whose answer was lost is sent again. When that meets a failed condition, and the record already shows
    everything the write sets, appends and removes, it was this very write: it counts as done. That holds for writes
    that set something of their own, such as a lease token or a time, under a condition they end; one without any
    condition may `add` or `append` twice.
    """

    def __init__(self, call: Call, table: str, clock: Clock | None = None) -> None:
        """Name the table.

        Args:
            call: Transport to DynamoDB.
            table: The table's name.
            clock: Tells which records have expired.
        """
        self._call = call
        self._table = table
        self._clock = clock or SystemClock()

    def apply(self, write: Write) -> Item:
        """Carry out a conditional write and return the item after it."""
        request = {"TableName": self._table, "Key": {"id": {"S": write.id}}, "ReturnValues": "ALL_NEW", **update(write)}
        try:
            answer = self._call("UpdateItem", request)
        except Ambiguous as conflict:
            if conflict.item is None or not _shows(conflict.item, write):
                raise
            return conflict.item
        return items.load_map(answer["Attributes"])

    def get(self, key: str) -> Item | None:
        """Read one item, consistently."""
        request = {"TableName": self._table, "Key": {"id": {"S": key}}, "ConsistentRead": True}
        found = self._call("GetItem", request).get("Item")
        return next(self._alive([found]), None) if found else None

    def find(self, partition: str, *, limit: int) -> list[Item]:
        """Read an index partition, newest first; items carry at least the projected attributes."""
        request: dict[str, Any] = {
            "TableName": self._table,
            "IndexName": INDEX,
            "KeyConditionExpression": "#i = :i",
            "ExpressionAttributeNames": {"#i": "idx"},
            "ExpressionAttributeValues": {":i": {"S": partition}},
            "ScanIndexForward": False,
        }
        found: list[Item] = []
        while len(found) < limit:
            answer = self._call("Query", {**request, "Limit": limit - len(found)})
            found += self._alive(answer["Items"])
            if not answer.get("LastEvaluatedKey"):
                break
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
        return found

    def _alive(self, raw: list[dict[str, Any]]) -> Iterator[Item]:
        now = self._clock.now()
        for attributes in raw:
            item = items.load_map(attributes)
            ttl = item.get("ttl")
            if ttl is None or ttl * 1000 > now:
                yield item


def update(write: Write) -> dict[str, Any]:
    """Compile a write to the expressions of one UpdateItem. Every name goes by placeholder: many are reserved words."""
    spoken = _Spoken()
    name, value = spoken.name, spoken.value
    setting = [f"{name(key)} = {value(given)}" for key, given in write.set.items()]
    setting += [f"{name(key)} = if_not_exists({name(key)}, {value(given)})" for key, given in write.default.items()]
    setting += [
        f"{name(key)} = list_append(if_not_exists({name(key)}, {value(write.base.get(key, []))}), {value(given)})"
        for key, given in write.append.items()
    ]
    adding = [f"{name(key)} {value(given)}" for key, given in write.add.items()]
    removing = [name(key) for key in write.remove]
    clauses = (("SET", setting), ("ADD", adding), ("REMOVE", removing))
    request: dict[str, Any] = {}
    if text := " ".join(f"{verb} {', '.join(parts)}" for verb, parts in clauses if parts):
        request["UpdateExpression"] = text
    if condition := _condition(write.when, spoken):
        request["ConditionExpression"] = condition
        request["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
    if spoken.names:
        request["ExpressionAttributeNames"] = {placeholder: key for key, placeholder in spoken.names.items()}
    if spoken.values:
        request["ExpressionAttributeValues"] = spoken.values
    return request


class _Spoken:
    """The names and values an expression mentions, by placeholder."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.values: dict[str, items.Attribute] = {}

    def name(self, key: str) -> str:
        return self.names.setdefault(key, f"#{len(self.names)}")

    def value(self, given: Any) -> str:
        placeholder = f":{len(self.values)}"
        self.values[placeholder] = items.dump(given)
        return placeholder


def _condition(when: Condition, spoken: _Spoken) -> str:
    if not when or not all(when):  # no condition, or an alternative without tests, which always holds
        return ""
    cases = [" AND ".join(_test(test, spoken) for test in case) for case in when]
    # Only where they say something: DynamoDB refuses redundant parentheses.
    return cases[0] if len(cases) == 1 else " OR ".join(f"({case})" for case in cases)


def _test(test: Test, spoken: _Spoken) -> str:
    name = spoken.name(test.attribute)
    if test.operator == "absent":
        return f"attribute_not_exists({name})"
    if test.operator == "present":
        return f"attribute_exists({name})"
    compared = f"{name} {test.operator} {spoken.value(test.value)}"
    # For DynamoDB an absent attribute differs from every value; for a `Test` no comparison with it holds.
    return f"attribute_exists({name}) AND {compared}" if test.operator == "<>" else compared


def _shows(item: Item, write: Write) -> bool:
    """Tell whether an item has everything a write would have left on it."""
    return (
        all(key in item and item[key] == value for key, value in write.set.items())
        and all(key in item for key in (*write.default, *write.add))
        and all(item.get(key, [])[-len(tail) :] == tail for key, tail in write.append.items() if tail)
        and not any(key in item for key in write.remove)
    )
