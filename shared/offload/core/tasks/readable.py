"""Which values a task could take and would never get: their JSON form is not read as what they are."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

from pydantic_core import SchemaSerializer, SchemaValidator, ValidationError

from offload.core.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Mapping

_NO_TEXTS = frozenset({"none", "list", "set", "frozenset", "tuple", "named-tuple", "dict", "model", "dataclass"})
"""Kinds of schemas whose values are no texts, and cannot be read from one."""


def check_values(node: Mapping[str, Any]) -> None:
    """Check the values of a literal or an Enum.

    Raises:
        DefinitionError: One of them cannot be read from its JSON form.
    """
    schema: Any = node
    read, write = SchemaValidator(schema), SchemaSerializer(schema)
    for value in node["expected" if node["type"] == "literal" else "members"]:
        try:
            read.validate_json(write.to_json(value))
        except ValidationError as error:
            fix = "derive its Enum from StrEnum or IntEnum" if isinstance(value, Enum) else "write a text for it"
            raise DefinitionError(f"{value} cannot be read from its JSON form. Instead, {fix}") from error


def check_keys(node: Mapping[str, Any]) -> None:
    """Check the keys of a mapping, which are texts in JSON.

    Raises:
        DefinitionError: They cannot be read from a text.
    """
    kind = node["type"]
    if kind in _NO_TEXTS:
        raise DefinitionError(f"a key of type {kind} cannot be read from a text. Instead, take a list of pairs")
    if kind in {"literal", "enum"} and node.get("sub_type") not in {"int", "float"}:
        values = [getattr(value, "value", value) for value in node["expected" if kind == "literal" else "members"]]
        if not all(isinstance(value, str) for value in values):
            raise DefinitionError(
                f"not all keys of {values} can be read from texts. Instead, take texts, or an IntEnum"
            )


def check_field(name: str, field: Mapping[str, Any], *, needed: bool) -> None:
    """Check a field of a model or a dataclass.

    Raises:
        DefinitionError: The value that it needs is not in what is sent.
    """
    if field.get("init_only"):
        msg = f"{name} is an InitVar, and its value is nowhere in the dataclass. Instead, write an ordinary field"
        raise DefinitionError(msg)
    if needed and (field.get("serialization_exclude") or field.get("serialization_exclude_if")):
        msg = f"{name} is required, and exclude keeps it out of what is sent. Instead, give it a default, or send it"
        raise DefinitionError(msg)


def check_bytes(config: Mapping[str, Any]) -> None:
    """Check the settings of the model around a field of bytes.

    Raises:
        DefinitionError: Bytes are written in one way and read in another, so others would arrive.
    """
    write, read = (config.get(name, "utf8") for name in ("ser_json_bytes", "val_json_bytes"))
    if write != read:
        msg = (
            f"ser_json_bytes={write!r} is not val_json_bytes={read!r}: other bytes would arrive. "
            "Instead, give both settings one value"
        )
        raise DefinitionError(msg)
