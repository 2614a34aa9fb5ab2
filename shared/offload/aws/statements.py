"""Conditional writes as PartiQL statements, of which one request carries up to 25.

PartiQL has no statement that inserts or updates. A write becomes:

- `INSERT` where its condition allows that there is no item. DynamoDB answers `DuplicateItem` when there is one.
- `UPDATE ... WHERE` where its condition is one case that needs the item, and the write only sets and removes.
  PartiQL cannot set what is absent alone, and cannot count or append from nothing.
- no statement otherwise.

Sources: "PartiQL - a SQL-compatible query language for Amazon DynamoDB" in the developer guide, and the limits there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from offload.aws import items
from offload.core.writes import Test

if TYPE_CHECKING:
    from offload.core.writes import Item, Write

MOST_STATEMENTS = 25
"""Statements of one batch request."""

LONGEST_STATEMENT = 8192
"""Characters of one statement, without its parameters."""

ABSENT = (Test("id", "absent"),)
"""The case of a condition that holds when there is no item, and never otherwise."""

_SIGNS = {"absent": "IS MISSING", "present": "IS NOT MISSING"}


class Statement(NamedTuple):
    """A write as a statement.

    Attributes:
        text: The statement, with a question mark for each value.
        parameters: The values, in order.
        inserted: The item that an `INSERT` stores; None for an `UPDATE`, whose answer holds the item.
    """

    text: str
    parameters: list[items.Attribute]
    inserted: Item | None

    @property
    def request(self) -> dict[str, Any]:
        """The statement as a member of a batch request."""
        return {
            "Statement": self.text,
            "Parameters": self.parameters,
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }


def compile_statement(table: str, write: Write[Any]) -> Statement | None:
    """Compile a write to a statement; None when no statement says the same.

    Raises:
        Refused: A number is not finite.
    """
    statement = None
    parts = (write.set, write.default, write.add, write.append, write.remove)
    if not write.id or any("id" in part for part in parts):
        return None  # an `INSERT` would take its key from the attributes; `UpdateItem` refuses such a write
    if ABSENT in write.when:
        statement = _insert(table, write)
    elif len(write.when) == 1 and _needs_item(write) and not (write.default or write.add or write.append):
        statement = _update(table, write)
    return statement if statement is not None and len(statement.text) <= LONGEST_STATEMENT else None


def _needs_item(write: Write[Any]) -> bool:
    (case,) = write.when
    return bool(write.set or write.remove) and any(test.operator != "absent" for test in case)


def _insert(table: str, write: Write[Any]) -> Statement:
    item: dict[str, Any] = {"id": write.id, **write.default, **write.add, **write.set}
    item |= {name: [*write.base.get(name, ()), *tail] for name, tail in write.append.items()}
    attributes = items.dump_map(item)
    fields = ", ".join(_quoted(name, mark="'") + ": ?" for name in attributes)
    text = f"INSERT INTO {_quoted(table)} VALUE {{{fields}}}"
    return Statement(text, list(attributes.values()), items.load_map(attributes))


def _update(table: str, write: Write[Any]) -> Statement:
    clauses = [f"SET {_quoted(name)} = ?" for name in write.set]
    clauses += [f"REMOVE {_quoted(name)}" for name in write.remove]
    values: list[Any] = [*write.set.values(), write.id]
    tests = [f"{_quoted('id')} = ?"]
    for test in write.when[0]:
        name = _quoted(test.attribute)
        if test.operator in _SIGNS:
            tests.append(f"{name} {_SIGNS[test.operator]}")
            continue
        if test.operator == "<>":  # for a `Test` no comparison with an absent attribute holds
            tests.append(f"{name} IS NOT MISSING")
        tests.append(f"{name} {test.operator} ?")
        values.append(test.value)
    text = f"UPDATE {_quoted(table)} {' '.join(clauses)} WHERE {' AND '.join(tests)} RETURNING ALL NEW *"
    return Statement(text, [items.dump(value) for value in values], None)


def _quoted(name: str, *, mark: str = '"') -> str:
    return f"{mark}{name.replace(mark, 2 * mark)}{mark}"
