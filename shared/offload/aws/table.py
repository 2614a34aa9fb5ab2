"""The job table on DynamoDB: key `id`, sparse index `by_state` (`idx`, `idx_at`), expiry `ttl` in epoch seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from offload.aws import items
from offload.aws.batches import Batches
from offload.aws.calls import BRIEF, Ambiguous, Call, is_carried_out
from offload.core.clock import Clock, SystemClock
from offload.core.ids import system_random
from offload.core.manifest import INDEX

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Iterator, Sequence

    from offload.core.errors import OffloadError
    from offload.core.records import JobRecord
    from offload.core.writes import Condition, Item, Record, Test, Write


class JobTable:
    """`JobStore` on DynamoDB. `apply` is one request.

    DynamoDB deletes an expired record up to days late. `get` and `find` do not return such a record. `apply` does not
    hide the record from conditions, because an update would merge with the attributes that are still there. A write
    that may take over an expired record must say so in its condition (`ttl` `<=` now) and remove the old attributes.

    A request is sent again when its answer was lost. If the condition then does not hold, the first request may have
    been carried out. The write counts as done when the record has everything that the write sets and appends, and
    nothing that the write removes. This conclusion is safe for a write that sets a value of its own, such as a lease
    token or a time, and whose condition does not hold after the write. A write without a condition may `add` or
    `append` twice.
    """

    def __init__(self, call: Call, table: str, clock: Clock | None = None, rng: random.Random | None = None) -> None:
        """Keep the name of the table; nothing is called.

        Args:
            call: Transport to DynamoDB.
            table: The table's name.
            clock: Gives the time, which decides whether a record has expired.
            rng: Source of the jitter between the rounds of a batch.
        """
        self._call = call
        self._table = table
        self._clock = clock or SystemClock()
        self._batches = Batches(call, table, self._clock, rng or system_random())

    def apply(self, write: Write[Record], *, brief: bool = False) -> Record:
        """Carry out a conditional write and return the item after it; see `JobStore.apply`."""
        key = {"id": {"S": write.id}}
        request = {"TableName": self._table, "Key": key, "ReturnValues": "ALL_NEW", **compile_update(write)}
        if brief:
            request[BRIEF] = True
        try:
            answer = self._call("UpdateItem", request)
        except Ambiguous as conflict:
            if conflict.item is None or not is_carried_out(write, conflict.item):
                raise
            written: Record = conflict.item
            return written
        return cast("Record", items.load_map(answer["Attributes"]))

    def apply_many(self, writes: Sequence[Write[Record]]) -> list[Record | OffloadError]:
        """Carry out conditional writes, up to 25 in a request; see `JobStore.apply_many`.

        A write that no PartiQL statement expresses is a request of its own (see `statements`). So is a write that may
        create or change an item, such as that of a key, when it meets an item.
        """
        return self._batches.write(writes, self.apply)

    def get(self, key: str, *, brief: bool = False) -> JobRecord | None:
        """Read one item, consistently; see `JobStore.get`."""
        request: dict[str, Any] = {"TableName": self._table, "Key": {"id": {"S": key}}, "ConsistentRead": True}
        if brief:
            request[BRIEF] = True
        found = self._call("GetItem", request).get("Item")
        return cast("JobRecord | None", next(self._unexpired([found]), None)) if found else None

    def get_many(self, keys: Iterable[str]) -> dict[str, JobRecord]:
        """Read items, consistently, up to 100 in a request; a key without an item is left out."""
        return {item["id"]: cast("JobRecord", item) for item in self._unexpired(self._batches.read(keys))}

    def find(self, partition: str, *, limit: int) -> list[JobRecord]:
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
            found += self._unexpired(answer["Items"])
            if not answer.get("LastEvaluatedKey"):
                break
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
        return cast("list[JobRecord]", found)

    def _unexpired(self, raw_items: list[dict[str, Any]]) -> Iterator[Item]:
        now = self._clock.now()
        for raw in raw_items:
            item = items.load_map(raw)
            ttl = item.get("ttl")
            if ttl is None or ttl * 1000 > now:
                yield item


def compile_update(write: Write[Any]) -> dict[str, Any]:
    """Compile a write to the expressions of one UpdateItem request.

    Every attribute name becomes a placeholder, because many names are reserved words of DynamoDB.
    """
    placeholders = _Placeholders()
    name, value = placeholders.name, placeholders.value
    setting = [f"{name(key)} = {value(new)}" for key, new in write.set.items()]
    setting += [f"{name(key)} = if_not_exists({name(key)}, {value(new)})" for key, new in write.default.items()]
    setting += [
        f"{name(key)} = list_append(if_not_exists({name(key)}, {value(write.base.get(key, []))}), {value(tail)})"
        for key, tail in write.append.items()
    ]
    adding = [f"{name(key)} {value(amount)}" for key, amount in write.add.items()]
    removing = [name(key) for key in write.remove]
    clauses = (("SET", setting), ("ADD", adding), ("REMOVE", removing))
    request: dict[str, Any] = {}
    if text := " ".join(f"{verb} {', '.join(parts)}" for verb, parts in clauses if parts):
        request["UpdateExpression"] = text
    if condition := _condition(write.when, placeholders):
        request["ConditionExpression"] = condition
        request["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
    if placeholders.names:
        request["ExpressionAttributeNames"] = {placeholder: key for key, placeholder in placeholders.names.items()}
    if placeholders.values:
        request["ExpressionAttributeValues"] = placeholders.values
    return request


class _Placeholders:
    """The placeholders of the names and values that an expression mentions."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.values: dict[str, items.Attribute] = {}

    def name(self, key: str) -> str:
        return self.names.setdefault(key, f"#{len(self.names)}")

    def value(self, json_value: Any) -> str:
        placeholder = f":{len(self.values)}"
        self.values[placeholder] = items.dump(json_value)
        return placeholder


def _condition(when: Condition, placeholders: _Placeholders) -> str:
    if not when or not all(when):  # there is no condition, or one alternative has no tests and so always holds
        return ""
    cases = [" AND ".join(_test(test, placeholders) for test in case) for case in when]
    # A single case has no parentheses, because DynamoDB refuses redundant ones.
    return cases[0] if len(cases) == 1 else " OR ".join(f"({case})" for case in cases)


def _test(test: Test, placeholders: _Placeholders) -> str:
    name = placeholders.name(test.attribute)
    if test.operator == "absent":
        return f"attribute_not_exists({name})"
    if test.operator == "present":
        return f"attribute_exists({name})"
    comparison = f"{name} {test.operator} {placeholders.value(test.value)}"
    # In DynamoDB an absent attribute differs from every value. For a `Test` no comparison with an absent one holds.
    return f"attribute_exists({name}) AND {comparison}" if test.operator == "<>" else comparison
