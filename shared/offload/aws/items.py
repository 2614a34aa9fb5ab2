"""Conversion between JSON values and DynamoDB's typed attributes.

DynamoDB keeps numbers as decimals of 38 digits, so a whole float such as 2.0 comes back as the equal integer 2. Neither
DynamoDB nor JSON can represent infinity and NaN.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from offload.core.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

Attribute = dict[str, Any]
"""One typed attribute, such as `{"S": "text"}`."""


def dump(value: Any) -> Attribute:
    """Write a JSON value as an attribute.

    Raises:
        Refused: A number is not finite.
        TypeError: The value is not a JSON value.
    """
    # The most common types come first. `bool` comes before `int`, because every bool is an instance of int.
    if isinstance(value, str):
        return {"S": value if type(value) is str else str.__str__(value)}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, int):
        return {"N": int.__repr__(value)}
    if value is None:
        return {"NULL": True}
    if isinstance(value, list | tuple):
        return {"L": [dump(entry) for entry in value]}
    if isinstance(value, dict):
        return {"M": dump_map(value)}
    if isinstance(value, float):
        if value - value != 0:
            msg = f"{value!r} cannot be stored: a number must be finite"
            raise Refused(msg)
        return {"N": float.__repr__(value)}
    msg = f"a value of type {type(value).__name__} has no JSON form"
    raise TypeError(msg)


def dump_map(values: Mapping[str, Any]) -> dict[str, Attribute]:
    """Write an item, or the values of a map."""
    return {name: dump(value) for name, value in values.items()}


def load(attribute: Attribute) -> Any:
    """Read an attribute. Values of types that this library never writes (sets, binary) are returned unchanged."""
    ((kind, value),) = attribute.items()
    if kind == "N":
        return int(value) if value.lstrip("-").isdigit() else float(value)
    if kind == "M":
        return load_map(value)
    if kind == "L":
        return [load(entry) for entry in value]
    return None if kind == "NULL" else value


def load_map(attributes: Mapping[str, Attribute]) -> dict[str, Any]:
    """Read an item, or the values of a map."""
    return {name: load(attribute) for name, attribute in attributes.items()}
