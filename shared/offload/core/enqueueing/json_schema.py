"""A payload's JSON schema, made into a schema of pydantic's core again.

The annotations of a task's function become a schema of the same core. So one set of rules checks a payload, whether
its producer imports the task or only names it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic_core import SchemaError, SchemaValidator, core_schema

from offload.core.jobs.arguments import as_set

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic_core import CoreSchema

LEFT_TO_WORKER = "x-left-to-worker"
"""Marks a part of a schema whose JSON form only the worker can check: a validator of the task's own sees it first."""

FIELD_NAME = "x-name"
"""The name of a field that has an alias. The alias is the name in the schema; the field's name is what is written."""

DECIMAL = "decimal"
"""The format of a `Decimal`. JSON schema has no name for it."""

_DEFINITIONS = "#/$defs/"
BOUNDS = {
    "minimum": "ge",
    "exclusiveMinimum": "gt",
    "maximum": "le",
    "exclusiveMaximum": "lt",
    "multipleOf": "multiple_of",
}
"""Bounds of numbers: the keyword of JSON schema and the name in pydantic's core."""

_LENGTHS = {"minLength": "min_length", "maxLength": "max_length"}
_ITEMS = {"minItems": "min_length", "maxItems": "max_length"}
_PROPERTIES = {"minProperties": "min_length", "maxProperties": "max_length"}


def rebuilt(schema: Mapping[str, Any]) -> CoreSchema:
    """Return the core schema of a payload.

    Args:
        schema: The payload's JSON schema, as `Signature.schema` writes it.
    """
    return _Rebuilding(schema.get("$defs", {})).payload(schema)


@dataclass(frozen=True, slots=True)
class _Rebuilding:
    """Makes schemas of pydantic's core from the parts of one JSON schema.

    Attributes:
        definitions: Its `$defs`.
    """

    definitions: Mapping[str, Any]

    def payload(self, schema: Mapping[str, Any]) -> CoreSchema:
        parts: list[Any] = [{**self._part(self._behind(name)), "ref": name} for name in self.definitions]
        # Arguments that are left out stay out: the worker's function has their defaults.
        root = self._object(schema, with_defaults=False)
        return core_schema.definitions_schema(root, parts) if parts else root

    def _behind(self, name: str) -> Any:
        """Return a definition, or the one that it is another name of."""
        node = self.definitions[name]
        for _ in self.definitions:
            if "$ref" not in node:
                break
            node = self.definitions[node["$ref"].removeprefix(_DEFINITIONS)]
        return node

    def _part(self, node: Any) -> CoreSchema:
        # A secret is only noted on its way to the task, so its schema says all.
        if not isinstance(node, Mapping) or (LEFT_TO_WORKER in node and not node.get("writeOnly")):
            return core_schema.any_schema()
        if "$ref" in node:
            return core_schema.definition_reference_schema(node["$ref"].removeprefix(_DEFINITIONS))
        if "const" in node or "enum" in node:
            return _one_of(node["enum"] if "enum" in node else [node["const"]])
        if "anyOf" in node or "oneOf" in node:
            return self._union(node)
        kind = node.get("type")
        if kind == "object":
            return self._object(node)
        if kind == "array":
            return self._array(node)
        return _SCALARS[kind](node) if isinstance(kind, str) and kind in _SCALARS else core_schema.any_schema()

    def _union(self, node: Mapping[str, Any]) -> CoreSchema:
        told_apart = node.get("discriminator", {})
        if "mapping" in told_apart:
            choices = {tag: self._part({"$ref": ref}) for tag, ref in told_apart["mapping"].items()}
            return core_schema.tagged_union_schema(choices, told_apart["propertyName"])
        return core_schema.union_schema([self._part(choice) for choice in node.get("anyOf") or node["oneOf"]])

    def _object(self, node: Mapping[str, Any], *, with_defaults: bool = True) -> CoreSchema:
        others = node.get("additionalProperties")
        if "properties" not in node and others is not False:
            return self._mapping(node, others)
        required = node.get("required", ())
        fields = {
            _written_name(name, part): self._field(name, part, required=name in required, with_default=with_defaults)
            for name, part in node.get("properties", {}).items()
        }
        if others is False:
            return core_schema.typed_dict_schema(fields, extra_behavior="forbid")
        if others is None:
            return core_schema.typed_dict_schema(fields, extra_behavior="ignore")
        return core_schema.typed_dict_schema(fields, extra_behavior="allow", extras_schema=self._part(others))

    def _field(self, name: str, node: Any, *, required: bool, with_default: bool) -> core_schema.TypedDictField:
        part = self._part(node)
        if with_default and not required and "default" in node:
            part = core_schema.with_default_schema(part, default=node["default"])
        written = _written_name(name, node)
        names: list[list[str | int]] | None = None if written == name else [[name], [written]]
        return core_schema.typed_dict_field(part, required=required, validation_alias=names)

    def _mapping(self, node: Mapping[str, Any], others: Any) -> CoreSchema:
        names: CoreSchema = core_schema.any_schema()  # a mapping by numbers has their texts in JSON
        patterns = node.get("patternProperties", {})
        if "propertyNames" in node:
            names = self._part(node["propertyNames"])
        elif len(patterns) == 1:
            ((pattern, others),) = patterns.items()
            names = _text({"pattern": pattern})
        return core_schema.dict_schema(names, self._part(others), **_limits(node, _PROPERTIES))

    def _array(self, node: Mapping[str, Any]) -> CoreSchema:
        lengths = _limits(node, _ITEMS)
        if "prefixItems" in node:
            places = [self._part(place) for place in node["prefixItems"]]
            if lengths == dict.fromkeys(_ITEMS.values(), len(places)):
                return core_schema.tuple_schema(places)
            return core_schema.list_schema(**lengths)
        items = self._part(node.get("items"))
        if not node.get("uniqueItems"):
            return core_schema.list_schema(items, **lengths)
        # A set counts its items once the equal ones are one, which is the worker's to do.
        listed = core_schema.list_schema(items)
        sorting = core_schema.wrap_serializer_function_ser_schema(
            lambda value, write: as_set(write(value)), schema=listed
        )
        return core_schema.list_schema(items, serialization=sorting)


def _written_name(name: str, node: Any) -> str:
    return str(node.get(FIELD_NAME, name)) if isinstance(node, Mapping) else name


def _limits(node: Mapping[str, Any], names: Mapping[str, str]) -> Any:
    return {name: node[keyword] for keyword, name in names.items() if keyword in node}


def _one_of(values: list[Any]) -> CoreSchema:
    literal = core_schema.literal_schema(values)
    if not all(type(value) is int for value in values):
        return literal
    return core_schema.no_info_before_validator_function(_whole_number, literal)


def _whole_number(value: Any) -> Any:
    """Read a number from its text: an `IntEnum` takes both."""
    try:
        return int(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _text(node: Mapping[str, Any]) -> CoreSchema:
    name = node.get("format", "")
    if name in _FORMATS:
        return _FORMATS[name](node)
    lengths = _limits(node, _LENGTHS)
    text = core_schema.str_schema(**lengths)
    if "pattern" not in node:
        return text
    matching = core_schema.str_schema(pattern=node["pattern"], **lengths)
    try:
        SchemaValidator(matching)
    except SchemaError:  # a pattern for Python's own engine
        return text
    return matching


def _bytes(node: Mapping[str, Any]) -> CoreSchema:
    content = core_schema.bytes_schema(**_limits(node, _LENGTHS))
    return core_schema.no_info_before_validator_function(_bytes_from_text, content)


def _bytes_from_text(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        text = value.replace("-", "+").replace("_", "/").rstrip("=")
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("a text must be base64; give bytes to have them written so") from error


_FORMATS: dict[str, Callable[[Mapping[str, Any]], CoreSchema]] = {
    "date-time": lambda _: core_schema.datetime_schema(),
    "date": lambda _: core_schema.date_schema(),
    "time": lambda _: core_schema.time_schema(),
    "duration": lambda _: core_schema.timedelta_schema(),
    "base64url": _bytes,
    DECIMAL: lambda node: core_schema.decimal_schema(**_limits(node, BOUNDS)),
    **dict.fromkeys(("uuid", *(f"uuid{version}" for version in range(1, 9))), lambda _: core_schema.uuid_schema()),
}
_SCALARS: dict[str, Callable[[Mapping[str, Any]], CoreSchema]] = {
    "string": _text,
    "integer": lambda node: core_schema.int_schema(**_limits(node, BOUNDS)),
    "number": lambda node: core_schema.float_schema(**_limits(node, BOUNDS)),
    "boolean": lambda _: core_schema.bool_schema(),
    "null": lambda _: core_schema.none_schema(),
}
