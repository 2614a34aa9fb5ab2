"""How the JSON schema of a payload is written: from the schema of pydantic's core that checks it in the worker.

The writer has a rule for each kind of schema that it can write without loss. `core/enqueueing/json_schema.py` makes the
same schema of it again. Everything else is marked as left to the worker: code of the task's own, which only the worker
has, and kinds that the writer does not know. `core/enqueueing/schema_words.py` has the words.
"""

from __future__ import annotations

import re
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic_core import PydanticSerializationError, to_jsonable_python

from offload.core.enqueueing import schema_words as words
from offload.core.tasks.known_types import format_of, is_pydantics, passes_through
from offload.core.tasks.own_code import OwnCode, reads_others
from offload.core.tasks.readable import check_bytes, check_field, check_keys, check_values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    Node = Mapping[str, Any]
    Written = dict[str, Any]

_LEFT: Written = {words.LEFT_TO_WORKER: True}
_NOTHING: Node = {}


def written_schema(core: Any) -> dict[str, Any]:
    """Return the JSON schema of a schema of pydantic's core.

    Args:
        core: The schema, with its definitions.

    Raises:
        DefinitionError: Some of its values could be sent, and never be read.
    """
    return _Writing().root(core)


class _Writing:
    """Writes one schema.

    Attributes:
        config: The settings of the model around the node at hand.
    """

    def __init__(self) -> None:
        self.config: Node = _NOTHING
        self._definitions: dict[str, Node] = {}
        self._names: dict[str, str] = {}
        self._written: dict[str, Written] = {}

    def root(self, core: Node) -> Written:
        schema = self.part(core)
        return {**schema, "$defs": self._written} if self._written else schema

    def part(self, node: Node) -> Written:
        kind = node["type"]
        if kind in words.LEAVES:
            return self.leaf(node)
        write = _WRITERS.get(kind)
        return write(self, node) if write is not None else dict(_LEFT)

    @property
    def _bytes_mode(self) -> Any:
        """How bytes are read from JSON."""
        return self.config.get("val_json_bytes", "utf8")

    # values without parts

    def leaf(self, node: Node) -> Written:
        kind = node["type"]
        leaf = words.LEAVES[kind]
        rules = {rule: self.config[name] for name, rule in leaf.config.items() if self.config.get(name) is not None}
        rules |= {"strict": True} if self.config.get("strict") else {}
        rules |= {name: value for name, value in node.items() if name not in _ASIDE and value is not None}
        rules = {name: value for name, value in rules.items() if _DEFAULTS.get(name) != value}
        if isinstance(rules.get("pattern"), re.Pattern):
            rules |= _of_pattern(rules.pop("pattern"))
        written: Written = {"type": leaf.type} | ({"format": leaf.format} if leaf.format else {})
        if kind == "bytes":
            check_bytes(self.config)
            written["format"] = words.BYTES_FORMATS[self._bytes_mode]
        for word, name in leaf.words.items():
            if isinstance(rules.get(name), int | float | str):
                written[word] = rules.pop(name)
        return written | ({words.RULES: _json(rules)} if rules else {})

    def literal(self, node: Node) -> Written:
        check_values(node)
        values = [each.value if isinstance(each, Enum) else each for each in node["expected"]]
        return _values(values)

    def enum(self, node: Node) -> Written:
        if reads_others(node["cls"]):
            return dict(_LEFT)
        check_values(node)
        written = _values([each.value for each in node["members"]])
        rules = {"sub_type": node.get("sub_type", "any")}
        return written | ({} if written == _LEFT else {words.RULES: rules})

    # values with parts

    def array(self, node: Node) -> Written:
        written: Written = {"type": "array", **self.items(node.get("items_schema"))}
        written |= {"uniqueItems": True} if "set" in node["type"] else {}
        return written | _lengths(node, words.ITEMS)

    def items(self, items: Node | None) -> Written:
        return {} if items is None or items["type"] == "any" else {"items": self.part(items)}

    def places(self, node: Node) -> Written:
        places, more = node["items_schema"], node.get("variadic_item_index")
        if more is None:
            of_length = {"minItems": len(places), "maxItems": len(places)}
            return {"type": "array", "prefixItems": [self.part(place) for place in places], **of_length}
        if len(places) == 1:
            return {"type": "array", **self.items(places[0]), **_lengths(node, words.ITEMS)}
        return dict(_LEFT)

    def named_tuple(self, node: Node) -> Written:
        fields = node["fields"]
        if any(field.get("validation_alias") for field in fields):
            return dict(_LEFT)
        places = [self.part(field["schema"]) for field in fields]
        needed = sum(field["schema"]["type"] != "default" for field in fields)
        names = [field["name"] for field in fields]
        of_length = {"minItems": needed, "maxItems": len(places)}
        return {"type": "array", "prefixItems": places, **of_length, words.NAMES: names}

    def mapping(self, node: Node) -> Written:
        names, values = node.get("keys_schema"), node.get("values_schema", {"type": "any"})
        if node["type"] == "counter":
            values = {"type": "int"}
        written: Written = {"type": "object", "additionalProperties": self.part(values) or True}
        if names is not None and names["type"] != "any":
            check_keys(names)
            key = self.part(names)
            written |= {} if key == {"type": "string"} else {words.KEYS: key}
        return written | _lengths(node, words.PROPERTIES)

    def nullable(self, node: Node) -> Written:
        return {"anyOf": [self.part(node["schema"]), {"type": "null"}]}

    def union(self, node: Node) -> Written:
        choices = [choice[0] if isinstance(choice, tuple) else choice for choice in node["choices"]]
        written: Written = {"anyOf": [self.part(choice) for choice in choices]}
        code = OwnCode(_WRITERS.keys(), self._definitions, strict=bool(self.config.get("strict")))
        if any(code.is_in(choice) for choice in choices) or code.is_undecided(choices):
            # Which choice fits is known to the worker: another one could convert the value.
            return {**written, **_LEFT}
        return written | ({words.RULES: {"mode": node["mode"]}} if node.get("mode", "smart") != "smart" else {})

    def tagged_union(self, node: Node) -> Written:
        tags = [tag.value if isinstance(tag, Enum) else tag for tag in node["choices"]]
        choices = [self.part(choice) for choice in node["choices"].values()]
        by = node["discriminator"]
        if not isinstance(by, str) or not all(isinstance(tag, str | int) for tag in tags):
            return {"oneOf": choices, **_LEFT}
        return {"oneOf": choices, "discriminator": {"propertyName": by}, words.TAGS: tags}

    def json_text(self, node: Node) -> Written:
        inner = self.part(node["schema"]) if "schema" in node else {}
        return {"type": "string", "contentMediaType": "application/json", "contentSchema": inner}

    # objects with fields

    def object_(self, node: Node, fields: Iterable[tuple[str, Node, bool]]) -> Written:
        properties, required = {}, []
        for name, field, needed in fields:
            check_field(name, field, needed=needed)
            written = self.part(field["schema"])
            alias = field.get("validation_alias")
            properties[name] = written | ({words.ALIASES: alias} if alias is not None and alias != name else {})
            required += [name] if needed else []
        extra = node.get("extra_behavior") or self.config.get("extra_fields_behavior") or "ignore"
        others: Written = {"additionalProperties": False} if extra == "forbid" else {}
        if extra == "allow":
            others = {"additionalProperties": self.part(node.get("extras_schema") or {"type": "any"}) or True}
        return {"type": "object", "properties": properties} | ({"required": required} if required else {}) | others

    def typed_dict(self, node: Node) -> Written:
        with_config = self._within(node.get("config"))
        total = node.get("total", with_config.config.get("typed_dict_total", True))
        written = with_config.object_(
            node, [(name, field, field.get("required", total)) for name, field in node["fields"].items()]
        )
        return _titled(written, node)

    def model_fields(self, node: Node) -> Written:
        return self.object_(
            node, [(name, field, field["schema"]["type"] != "default") for name, field in node["fields"].items()]
        )

    def dataclass_args(self, node: Node) -> Written:
        return self.object_(
            node,
            [
                (field["name"], field, field["schema"]["type"] != "default")
                for field in node["fields"]
                if field.get("init", True)
            ],
        )

    def class_(self, node: Node) -> Written:
        if node.get("custom_init"):
            return dict(_LEFT)
        return _titled(self._within(node.get("config")).part(node["schema"]), node)

    def default(self, node: Node) -> Written:
        written = self.part(node["schema"])
        if node.get("on_error", "raise") != "raise":
            return {**written, words.ON_ERROR: "omit"} if node["on_error"] == "omit" else {**written, **_LEFT}
        if node.get("validate_default", self.config.get("validate_default")):
            return written
        if node.get("default_factory") in _EMPTY:
            return {**written, "default": _EMPTY[node["default_factory"]]}
        try:
            return {**written, "default": _json(node["default"], self._bytes_mode)} if "default" in node else written
        except (PydanticSerializationError, ValueError):
            return written

    # code

    def with_code(self, node: Node) -> Written:
        if passes_through(node):
            secret = {"writeOnly": True} if passes_through(node) == "secret" else {}
            return self.part(node["schema"]) | secret
        known = format_of(node)
        if known is not None:
            return {"type": "string", "format": known}
        return {**(self.part(node["schema"]) if "schema" in node else {}), **_LEFT}

    def after(self, node: Node) -> Written:
        written = self.part(node["schema"])
        lengths = node["function"]["function"]
        if written.get("type") == "array" and isinstance(lengths, partial) and is_pydantics(lengths.func):
            return written | _lengths(lengths.keywords, words.ITEMS)
        return written

    def of_known_type(self, node: Node) -> Written:
        known = format_of(node)
        if known is not None:
            return {"type": "string", "format": known}
        in_json = node.get("json_schema", _NOTHING)
        return self.part(in_json) if in_json.get("type") in _CONTAINERS else dict(_LEFT)

    # definitions

    def define(self, node: Node) -> Written:
        self._definitions |= {each["ref"]: each for each in node["definitions"]}
        return self.part(node["schema"])

    def reference(self, node: Node) -> Written:
        ref = node["schema_ref"]
        if ref not in self._names:
            name = plain = re.sub(r"\W", "_", ref.partition(":")[0].rpartition(".")[2])
            while name in self._names.values():
                name = f"{plain}_{len(self._names)}"
            self._names[ref] = name
            self._written[name] = {}  # holds the place
            self._written[name] = self.part(self._definitions[ref])
        return {"$ref": words.DEFINITIONS + self._names[ref]}

    def _within(self, config: Node | None) -> _Writing:
        """Return a writer for what is in a model with settings of its own."""
        if config is None:
            return self
        inner = _Writing()
        inner.__dict__ |= {**self.__dict__, "config": config}
        return inner


_ASIDE = frozenset({"type", "ref", "metadata", "serialization", "cls", "cls_name", "config", "members", "expected"})
"""What a node says beside its rules and parts."""

_DEFAULTS = {"strict": False, "microseconds_precision": "truncate", "regex_engine": "rust-regex"}
_EMPTY: Mapping[Any, Any] = {list: [], dict: {}, set: [], frozenset: [], tuple: []}
_CONTAINERS = frozenset({"list", "set", "frozenset", "dict", "tuple", "deque"})
_WRITERS: Mapping[str, Callable[[_Writing, Node], Written]] = {
    "any": lambda _, __: {},
    "literal": _Writing.literal,
    "enum": _Writing.enum,
    **dict.fromkeys(("list", "set", "frozenset", "deque"), _Writing.array),
    "generator": lambda _, __: {"type": "array", **_LEFT},
    "tuple": _Writing.places,
    "named-tuple": _Writing.named_tuple,
    **dict.fromkeys(("dict", "ordered-dict", "frozendict", "counter"), _Writing.mapping),
    "nullable": _Writing.nullable,
    "union": _Writing.union,
    "tagged-union": _Writing.tagged_union,
    "json": _Writing.json_text,
    "typed-dict": _Writing.typed_dict,
    "model-fields": _Writing.model_fields,
    "dataclass-args": _Writing.dataclass_args,
    **dict.fromkeys(("model", "dataclass"), _Writing.class_),
    "default": _Writing.default,
    **dict.fromkeys(("function-before", "function-wrap", "function-plain"), _Writing.with_code),
    "function-after": _Writing.after,
    **dict.fromkeys(("lax-or-strict", "json-or-python"), _Writing.of_known_type),
    "definitions": _Writing.define,
    "definition-ref": _Writing.reference,
}


def _titled(written: Written, node: Node) -> Written:
    """Name a part after its class, for whoever shows payloads."""
    return {"title": node["cls"].__name__, **written} if "cls" in node and "type" in written else written


def _json(value: Any, bytes_mode: Any = "base64") -> Any:
    return to_jsonable_python(value, by_alias=False, round_trip=True, bytes_mode=bytes_mode, inf_nan_mode="strings")


def _lengths(node: Node, names: words.Words) -> Written:
    return {word: node[name] for word, name in names.items() if node.get(name) is not None}


def _values(values: list[Any]) -> Written:
    """Write the values of which one is allowed; those that JSON has no own form for are left to the worker."""
    if not all(value is None or type(value) in {str, int, bool} for value in values):
        return dict(_LEFT)
    return {"const": values[0]} if len(values) == 1 else {"enum": values}


def _of_pattern(pattern: re.Pattern[str]) -> words.Rules:
    """Return the rules of a pattern that was compiled; flags that its text does not have are left to the worker."""
    if pattern.flags != re.compile(pattern.pattern).flags:
        return {}
    return {"pattern": pattern.pattern, "regex_engine": "python-re"}
