"""A payload's JSON schema, made into a schema of pydantic's core again.

The annotations of a task's function become a schema of the same core. So one set of rules checks a payload, whether
its producer imports the task or only names it.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum, StrEnum
from typing import Any

from pydantic_core import CoreSchema, SchemaError, SchemaValidator, core_schema, to_json

from offload.core.enqueueing import schema_words as words
from offload.core.jobs.arguments import as_set

CONFIG = core_schema.CoreConfig(ser_json_bytes="base64", ser_json_inf_nan="strings", val_json_bytes="base64")
WRITING: dict[str, Any] = {"bytes_mode": "base64", "inf_nan_mode": "strings", "by_alias": False, "round_trip": True}
"""How a checked payload becomes JSON; the settings of `Signature`."""


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
            node = self.definitions[node["$ref"].removeprefix(words.DEFINITIONS)]
        return node

    def _part(self, node: Any) -> CoreSchema:
        if isinstance(node, Mapping) and words.ON_ERROR in node:
            inner = {word: value for word, value in node.items() if word != words.ON_ERROR}
            return core_schema.with_default_schema(self._value(inner), on_error=node[words.ON_ERROR])
        return self._value(node)

    def _value(self, node: Any) -> CoreSchema:
        if not isinstance(node, Mapping) or words.LEFT_TO_WORKER in node:
            return core_schema.any_schema()
        if "$ref" in node:
            return core_schema.definition_reference_schema(node["$ref"].removeprefix(words.DEFINITIONS))
        if "const" in node or "enum" in node:
            return _one_of(node["enum"] if "enum" in node else [node["const"]], node.get(words.RULES))
        if "anyOf" in node or "oneOf" in node:
            return self._union(node)
        if "contentSchema" in node:
            return _json_text(self._part(node["contentSchema"]))
        kind = node.get("type")
        if kind == "object":
            return self._object(node)
        if kind == "array":
            return self._array(node)
        return _leaf(node)

    def _union(self, node: Mapping[str, Any]) -> CoreSchema:
        choices: list[Any] = [self._part(choice) for choice in node.get("anyOf") or node["oneOf"]]
        if words.TAGS in node:
            tagged = dict(zip(node[words.TAGS], choices, strict=True))
            return core_schema.tagged_union_schema(tagged, node["discriminator"]["propertyName"])
        if len(choices) == _NULLABLE and choices[1]["type"] == "none":
            return core_schema.nullable_schema(choices[0])
        return core_schema.union_schema(choices, **node.get(words.RULES, {}))

    def _object(self, node: Mapping[str, Any], *, with_defaults: bool = True) -> CoreSchema:
        others = node.get("additionalProperties")
        if "properties" not in node and others is not False:
            names = self._part(node[words.KEYS]) if words.KEYS in node else core_schema.any_schema()
            return core_schema.dict_schema(names, self._part(others), **_limits(node, words.PROPERTIES))
        required = node.get("required", ())
        fields = {
            name: self._field(name, part, required=name in required, with_default=with_defaults)
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
        aliases = node.get(words.ALIASES) if isinstance(node, Mapping) else None
        paths = [aliases] if isinstance(aliases, str) else aliases
        if paths and not isinstance(paths[0], list):
            paths = [paths]
        names = [*paths, [name]] if paths else None
        return core_schema.typed_dict_field(part, required=required, validation_alias=names)

    def _array(self, node: Mapping[str, Any]) -> CoreSchema:
        lengths = _limits(node, words.ITEMS)
        if words.NAMES in node:
            return self._named_tuple(node)
        if "prefixItems" in node:
            places = [self._part(place) for place in node["prefixItems"]]
            if lengths == dict.fromkeys(words.ITEMS.values(), len(places)):
                return core_schema.tuple_schema(places)
            return core_schema.list_schema(**lengths)
        items = self._part(node.get("items"))
        if not node.get("uniqueItems"):
            return core_schema.list_schema(items, **lengths)
        if not _SCALARS.isdisjoint([node.get("items", {}).get("type"), *node.get("items", {})]):
            return core_schema.set_schema(items, **lengths)
        # Which objects are equal is known to their class. A set has no more items than its list.
        lengths.pop("max_length", None)
        listed = core_schema.list_schema(items, **lengths)
        return core_schema.no_info_after_validator_function(_sorted_objects, listed)

    def _named_tuple(self, node: Mapping[str, Any]) -> CoreSchema:
        names, places = node[words.NAMES], node["prefixItems"]
        fields = {
            name: self._field(name, place, required=index < node["minItems"], with_default=True)
            for index, (name, place) in enumerate(zip(names, places, strict=True))
        }

        def by_name(value: Any) -> Any:
            if not isinstance(value, list | tuple):
                return value
            return dict(zip(names, value, strict=False)) | dict.fromkeys(map(str, range(len(names), len(value))))

        def in_order(value: dict[str, Any]) -> Any:
            return [value[name] for name in names] if len(value) == len(names) else value

        known = core_schema.typed_dict_schema(fields, extra_behavior="forbid")
        by_order = core_schema.no_info_after_validator_function(in_order, known)
        return core_schema.no_info_before_validator_function(by_name, by_order)


_SCALARS = {"string", "integer", "number", "boolean", "enum", "const"}
"""Types, and words, of values that can be in a set as they are."""

_NULLABLE = 2
"""Choices of what may be null."""


def _sorted_objects(items: list[Any]) -> list[Any]:
    return as_set(json.loads(to_json(items, **WRITING)))


def _limits(node: Mapping[str, Any], names: words.Words) -> Any:
    return {name: node[keyword] for keyword, name in names.items() if keyword in node}


def _one_of(values: list[Any], rules: Mapping[str, Any] | None) -> CoreSchema:
    if not rules:
        return core_schema.literal_schema(values)
    # A union with an Enum prefers members to their values, so this is an Enum too.
    kind, sub_type = _ENUMS[rules["sub_type"]], rules["sub_type"]
    made: Any = kind("Values", [(f"value_{index}", value) for index, value in enumerate(values)])
    of_member = core_schema.enum_schema(made, list(made), sub_type=None if sub_type == "any" else sub_type)

    def own_member(value: Any) -> Any:
        try:
            return made(value.value) if isinstance(value, Enum) else value
        except ValueError:
            return value

    return core_schema.no_info_before_validator_function(own_member, of_member)


_ENUMS: Mapping[str, Any] = {"any": Enum, "int": IntEnum, "str": StrEnum}
"""The kinds of Enums, by what pydantic's core calls them."""


def _json_text(content: CoreSchema) -> CoreSchema:
    """Return the schema of a text that is JSON: the text is written anew from what it says."""
    return core_schema.no_info_after_validator_function(
        lambda value: to_json(value, **WRITING).decode(), core_schema.json_schema(content)
    )


def _leaf(node: Mapping[str, Any]) -> CoreSchema:
    form = str(node.get("format") or node.get("type"))
    if form in _IN_PYTHON:
        return _in_python(_IN_PYTHON[form])
    kind = "bytes" if form in words.BYTES_FORMATS.values() else words.BY_FORMAT.get(form)
    if kind is None:
        return core_schema.str_schema() if node.get("type") == "string" else core_schema.any_schema()
    rules = {**_limits(node, words.LEAVES[kind].words), **node.get(words.RULES, {})}
    if kind == "bytes":
        rules.pop("strict", None)
        return _bytes(rules, form)
    made: Any = {"type": kind, **rules}
    if "strict" in rules and kind in words.AS_TEXT:
        return _strict(made)
    return made if _is_known(made) else core_schema.any_schema()


def _is_known(schema: CoreSchema) -> bool:
    """Return whether this version of pydantic knows all rules, and a pattern's language."""
    if len(schema) == 1:
        return True
    try:
        SchemaValidator(schema)
    except SchemaError:
        return False
    return True


def _strict(schema: Any) -> CoreSchema:
    """Return the schema of a strict type, which takes a text as its JSON form."""
    in_json = SchemaValidator({**schema, "strict": False}, CONFIG)

    def read(value: Any) -> Any:
        return in_json.validate_json(to_json(value)) if isinstance(value, str) else value

    return core_schema.no_info_before_validator_function(read, schema)


_BASE64 = SchemaValidator(core_schema.bytes_schema(), CONFIG)
_HEX = SchemaValidator(core_schema.bytes_schema(), {**CONFIG, "val_json_bytes": "hex"})


def _bytes(rules: Any, form: str) -> CoreSchema:
    content = core_schema.bytes_schema(**rules)
    if form == words.UTF8:
        return core_schema.no_info_after_validator_function(bytes.decode, content)
    if form == words.HEX:
        read = core_schema.no_info_before_validator_function(_bytes_from_hex, content)
        return core_schema.no_info_after_validator_function(bytes.hex, read)
    return core_schema.no_info_before_validator_function(_bytes_from_text, content)


def _bytes_from_text(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        # A bytearray fits less well than bytes: a union with a text takes the text as it is.
        return bytearray(_BASE64.validate_json(to_json(value)))
    except ValueError as error:
        raise ValueError("a text must be base64; give bytes to have them written so") from error


def _bytes_from_hex(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return bytearray(_HEX.validate_json(to_json(value)))
    except ValueError as error:
        raise ValueError("a text must be hexadecimal; give bytes to have them written so") from error


_IN_PYTHON: Mapping[str, Any] = {
    "ipv4": ipaddress.IPv4Address,
    "ipv6": ipaddress.IPv6Address,
    "ipv4network": ipaddress.IPv4Network,
    "ipv6network": ipaddress.IPv6Network,
    "ipv4interface": ipaddress.IPv4Interface,
    "ipv6interface": ipaddress.IPv6Interface,
    "ipvanyaddress": "IPvAnyAddress",
    "ipvanynetwork": "IPvAnyNetwork",
    "ipvanyinterface": "IPvAnyInterface",
    "regex": re.Pattern,
}
"""Formats of types that pydantic reads with code of its own."""


def _in_python(cls: Any) -> CoreSchema:
    import pydantic  # few tasks have such a type

    return pydantic.TypeAdapter(getattr(pydantic, cls) if isinstance(cls, str) else cls).core_schema
