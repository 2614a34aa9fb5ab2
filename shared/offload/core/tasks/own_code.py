"""Which parts of a schema of pydantic's core run code of the task's own, which only the worker has."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from offload.core.enqueueing.schema_words import AS_TEXT, LEAVES
from offload.core.tasks.known_types import PLAIN_TYPES, format_of, passes_through

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    Node = Mapping[str, Any]

_FIELDS = frozenset({"model-field", "typed-dict-field", "dataclass-field", "named-tuple-field"})
_CLASSES = frozenset({"model", "dataclass"})
_MAPPINGS = frozenset({"any", "dict", "ordered-dict", "frozendict", "counter", "typed-dict"})
_CODE = ("post_init", "custom_init")
_PARTS = {"schema", "items_schema", "keys_schema", "values_schema", "extras_schema", "json_schema"}
_NAMED_PARTS = {"choices", "fields"}


@dataclass(frozen=True, slots=True)
class OwnCode:
    """Looks for code of the task's own, and for types that are not known.

    Attributes:
        known: The kinds of schema that are known.
        definitions: What references stand for.
        strict: Whether the model around is strict.
    """

    known: Collection[str]
    definitions: Mapping[str, Node]
    strict: bool

    def is_in(self, node: Node, seen: frozenset[str] = frozenset()) -> bool:
        """Return whether a schema has any, however deep.

        Args:
            node: The schema.
            seen: Definitions that were looked into.
        """
        kind = node["type"]
        if kind == "definition-ref":
            ref = node["schema_ref"]
            return ref not in seen and self.is_in(self.definitions[ref], seen | {ref})
        if kind in LEAVES:  # one that is strict in Python has a text in JSON: who reads it decides
            return kind in AS_TEXT and bool(node.get("strict") or self.strict)
        if kind in PLAIN_TYPES and format_of(node):
            return False
        # A generator is checked when the task iterates over it.
        unknown = kind == "generator" or (kind not in _FIELDS and kind not in self.known)
        calls = kind.startswith("function") and not passes_through(node)
        if unknown or calls or any(node.get(name) for name in _CODE) or (kind == "enum" and reads_others(node["cls"])):
            return True
        return any(self.is_in(part, seen) for part in _parts(node))

    def is_undecided(self, choices: list[Node]) -> bool:
        """Return whether a choice may be a class and another a mapping, however deep in lists.

        Pydantic prefers the mapping for a dict, and the class for its instance. By name, both are the same.
        """
        kinds = {kind for choice in choices for kind in self._outer_kinds(choice)}
        return not kinds.isdisjoint(_CLASSES) and not kinds.isdisjoint(_MAPPINGS)

    def _outer_kinds(self, node: Node, seen: frozenset[str] = frozenset()) -> Iterator[str]:
        if node["type"] == "definition-ref":
            if node["schema_ref"] in seen:
                return
            seen |= {node["schema_ref"]}
            node = self.definitions[node["schema_ref"]]
        yield node["type"]
        if node["type"] not in _CLASSES and node["type"] not in _MAPPINGS:
            for part in _parts(node):
                yield from self._outer_kinds(part, seen)


def reads_others(cls: Any) -> bool:
    """Return whether an Enum has code for values that are none of its members'."""
    return getattr(cls._missing_, "__func__", None) is not getattr(Enum._missing_, "__func__", None)


def _parts(node: Node) -> Iterator[Node]:
    """Yield the schemas that a schema is made of."""
    for name in _PARTS & node.keys():
        yield from node[name] if isinstance(node[name], list) else [node[name]]
    for name in _NAMED_PARTS & node.keys():
        for part in node[name].values() if isinstance(node[name], dict) else node[name]:
            if not isinstance(part, str):  # a dataclass names its fields
                yield part[0] if isinstance(part, tuple) else part
