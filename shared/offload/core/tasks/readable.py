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
