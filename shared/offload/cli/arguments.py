"""A task's arguments in words, from the JSON schema of its payload."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_WORDS = {"string": "text", "null": "nothing", "object": "object", "array": "list"}
_DEFINITIONS = "#/$defs/"


def argument_rows(schema: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return a row for each argument: its name, what it takes, and its default; `required` for none.

    Args:
        schema: The JSON schema of a payload.
    """
    required = schema.get("required", ())
    return [
        {
            "argument": name,
            "takes": _takes(node, schema.get("$defs", {})),
            "default": "required" if name in required else json.dumps(node["default"]) if "default" in node else "",
        }
        for name, node in schema.get("properties", {}).items()
    ]


def _takes(node: Any, definitions: Mapping[str, Any]) -> str:
    """Return what a part of a schema takes, in a few words; `secret` stands before a `Secret`."""
    is_secret = isinstance(node, dict) and node.get("writeOnly", False)
    return f"{'secret ' if is_secret else ''}{_shape(node, definitions)}"


def _shape(node: Any, definitions: Mapping[str, Any]) -> str:
    if not isinstance(node, dict):
        return "anything"
    if "$ref" in node:
        name = node["$ref"].removeprefix(_DEFINITIONS)
        definition = definitions.get(name, {})
        return _takes(definition, {}) if "enum" in definition else f"{name} ({_kind(definition)})"
    if "title" in node:
        return f"{node['title']} ({_kind(node)})"
    if "const" in node or "enum" in node:
        return " or ".join(json.dumps(value, ensure_ascii=False) for value in node.get("enum", [node.get("const")]))
    choices = node.get("anyOf") or node.get("oneOf")
    if choices:
        return " or ".join(_takes(choice, definitions) for choice in choices)
    if node.get("type") == "array" and "items" in node:
        return f"list of {_takes(node['items'], definitions)}"
    if node.get("type") == "object" and isinstance(node.get("additionalProperties"), dict):
        return f"object of {_takes(node['additionalProperties'], definitions)}"
    return _kind(node)


def _kind(node: Mapping[str, Any]) -> str:
    kind = str(node.get("format") or node.get("type") or "anything")
    return _WORDS.get(kind, kind)
