"""The words of a payload's JSON schema, which `core/tasks/schema_writer.py` writes and `json_schema.py` reads.

Most are words of JSON schema. What pydantic's core knows beyond these stands under words of this library, which begin
with `x-`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

LEFT_TO_WORKER = "x-left-to-worker"
"""Marks a part that only the worker can check: code of the task's own reads it, or a type that this library does not
know."""

RULES = "x-rules"
"""Rules for a value that JSON schema has no word for, as pydantic's core calls them."""

ALIASES = "x-aliases"
"""The other names of a field: a text, or the paths at which its value may lie. The field is written by its own name."""

KEYS = "x-keys"
"""The schema of an object's names, where they are no plain texts."""

ON_ERROR = "x-on-error"
"""What becomes of an item that is wrong: `omit` leaves it out."""

NAMES = "x-names"
"""The names of the places of a named tuple."""

TAGS = "x-tags"
"""The tags of the choices of a union, in their order."""

DEFINITIONS = "#/$defs/"
"""What a reference to a definition begins with."""

Words = Mapping[str, str]
BOUNDS: Words = {
    "minimum": "ge",
    "exclusiveMinimum": "gt",
    "maximum": "le",
    "exclusiveMaximum": "lt",
    "multipleOf": "multiple_of",
}
LENGTHS: Words = {"minLength": "min_length", "maxLength": "max_length"}
ITEMS: Words = {"minItems": "min_length", "maxItems": "max_length"}
PROPERTIES: Words = {"minProperties": "min_length", "maxProperties": "max_length"}


@dataclass(frozen=True, slots=True)
class Leaf:
    """How a value without parts is written.

    Attributes:
        type: Its type in JSON.
        format: Its format; None where the type says all.
        words: Keywords of JSON schema for its rules, and what pydantic's core calls these.
        config: Settings of a model that stand for a rule, and the rule.
    """

    type: str
    format: str | None = None
    words: Words = field(default_factory=lambda: MappingProxyType({}))
    config: Words = field(default_factory=lambda: MappingProxyType({}))


_INF_NAN: Words = {"allow_inf_nan": "allow_inf_nan"}
_URL: Words = {"url_preserve_empty_path": "preserve_empty_path"}
_TEXT: Words = {
    "str_strip_whitespace": "strip_whitespace",
    "str_to_lower": "to_lower",
    "str_to_upper": "to_upper",
    "str_min_length": "min_length",
    "str_max_length": "max_length",
    "coerce_numbers_to_str": "coerce_numbers_to_str",
    "regex_engine": "regex_engine",
}

LEAVES: Mapping[str, Leaf] = {
    "none": Leaf("null"),
    "bool": Leaf("boolean"),
    "int": Leaf("integer", words=BOUNDS),
    "float": Leaf("number", words=BOUNDS, config=_INF_NAN),
    "str": Leaf("string", words={**LENGTHS, "pattern": "pattern"}, config=_TEXT),
    "bytes": Leaf("string", "base64url", LENGTHS),
    "decimal": Leaf("string", "decimal", BOUNDS, _INF_NAN),
    "date": Leaf("string", "date"),
    "time": Leaf("string", "time"),
    "datetime": Leaf("string", "date-time"),
    "timedelta": Leaf("string", "duration"),
    "uuid": Leaf("string", "uuid"),
    "url": Leaf("string", "uri", config=_URL),
    "multi-host-url": Leaf("string", "multi-host-uri", config=_URL),
}
"""Values without parts, by their name in pydantic's core."""

UTF8 = "binary"
"""The format of bytes whose JSON form is their text: models and dataclasses of pydantic write bytes so."""

HEX = "hex"
"""The format of bytes whose JSON form is hexadecimal: a model may say so."""

BYTES_FORMATS: Mapping[str, str] = {"utf8": UTF8, "base64": "base64url", "hex": HEX}
"""The formats of bytes, by what pydantic calls the way in which they are written."""

BY_FORMAT: Mapping[str, str] = {leaf.format or leaf.type: name for name, leaf in LEAVES.items()}
"""Their names, by format or type."""

AS_TEXT = frozenset(name for name, leaf in LEAVES.items() if leaf.format)
"""Those whose JSON form is a text, and whose Python value is none. A strict one takes the text in JSON alone."""

Rules = dict[str, Any]
