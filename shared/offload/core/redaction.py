"""Secrets among a job's arguments: how they are marked, and how they are kept out of records, errors and logs.

    @task
    def charge(order: int, token: Secret[str]) -> None: ...

A task gets the plain value, and so does whoever reads the message in its queue or dead-letter queue, or a large payload
in the bucket. Everything else that the library writes down about the job is redacted: a text that contains the value of
a secret argument has `***` in its place. What the task itself returns is its result, as it is.

Reading a payload notes the values that are marked, however deep in a model they lie (`learning_secrets`). From then on
`redact` knows them, until the next payload is read. Simulated workers take turns in one process, so each has its own;
a thread that a task starts sees those of the payload that its process read last.
"""

from __future__ import annotations

import base64
import html
import json
import re
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Annotated, Any, TypeVar
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic_core import CoreSchema

T = TypeVar("T")

SHOWN = "***"
"""What stands for a secret."""

_LEAST_PART = 6
"""Characters of a part of a secret that is looked for by itself. Shorter ones stand in texts that have no secret."""


class SecretMark:
    """Marks an annotation: values that fit it are secret."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Note each value on its way through validation, also one that does not fit."""
        from pydantic_core import core_schema

        def note(value: Any, validate: Any) -> Any:
            noted = _noted.get()
            if noted is None:
                return validate(value)
            noted.append(value)
            valid = validate(value)
            noted.append(valid)
            return valid

        return core_schema.no_info_wrap_validator_function(note, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Say so in the schema, for whoever shows payloads."""
        return {**handler(schema), "writeOnly": True}


Secret = Annotated[T, SecretMark()]
"""`Secret[str]` is `str` to a type checker, and a secret to this library; any type can be in the brackets."""


class Redaction:
    """The secrets of one job."""

    def __init__(self, values: list[Any]) -> None:
        """Take the values; texts and numbers in them are secrets, however deep they lie."""
        forms = {form for value in values for leaf in _leaves(value) for form in _forms(leaf)} - {""}
        longest_first = sorted(forms, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if forms else None

    def redact(self, text: str) -> str:
        """Return a text with `***` in the place of each secret."""
        return text if self._pattern is None else self._pattern.sub(SHOWN, text)

    def redact_json(self, text: str) -> str:
        """Return a JSON text whose texts are redacted; its names and its numbers stay as they are."""
        if self._pattern is None:
            return text
        try:
            return json.dumps(self._redacted(json.loads(text)), ensure_ascii=False)
        except (ValueError, RecursionError):
            return self.redact(text)

    def _redacted(self, value: Any) -> Any:
        match value:
            case str():
                return self.redact(value)
            case dict():
                return {name: self._redacted(item) for name, item in value.items()}
            case list():
                return [self._redacted(item) for item in value]
        return value


_noted: ContextVar[list[Any] | None] = ContextVar("offload_noted_secrets", default=None)
_here: ContextVar[Redaction | None] = ContextVar("offload_redaction", default=None)


class _Process:
    last = Redaction([])


@contextmanager
def learning_secrets() -> Iterator[None]:
    """Let `redact` know the secrets of the payload that is read in the block, also when the payload is wrong."""
    noted: list[Any] = []
    token = _noted.set(noted)
    try:
        yield
    finally:
        _noted.reset(token)
        _Process.last = Redaction(noted)
        _here.set(_Process.last)


def redact(text: str) -> str:
    """Return a text with `***` in the place of each secret of the job at hand."""
    return (_here.get() or _Process.last).redact(text)


def redact_json(text: str) -> str:
    """Return a JSON text with `***` in the place of each secret of the job at hand."""
    return (_here.get() or _Process.last).redact_json(text)


def _leaves(value: Any) -> Iterator[str | bytes]:
    """Yield the texts, bytes and numbers in a value; what has attributes is searched by them."""
    match value:
        case None | bool():
            return
        case str() | bytes():
            yield value
        case dict():
            for item in value.values():
                yield from _leaves(item)
        case list() | tuple() | set() | frozenset():
            for item in value:
                yield from _leaves(item)
        case _ if hasattr(value, "__dict__") and not hasattr(value, "isoformat") and vars(value):
            yield from _leaves(vars(value))
        case _:
            yield str(value)


def _forms(leaf: str | bytes) -> Iterator[str]:
    """Yield the spellings in which a secret reaches a text: as it is, escaped, in a URL, in hex and in base64.

    A text of several lines is one line by line too: a traceback indents notes and groups of errors.
    """
    raw = leaf if isinstance(leaf, bytes) else leaf.encode("utf-8", "surrogatepass")
    text = leaf if isinstance(leaf, str) else leaf.decode("utf-8", "replace")
    yield text
    lines = [line.strip() for line in text.splitlines()]
    yield from (line for line in lines if len(lines) > 1 and len(line) >= _LEAST_PART)
    yield repr(leaf).removeprefix("b")[1:-1]
    yield json.dumps(text)[1:-1]
    yield json.dumps(text, ensure_ascii=False)[1:-1]
    yield html.escape(text)
    yield quote(raw, safe="")
    yield quote_plus(raw)
    yield raw.hex()
    yield raw.hex().upper()
    yield base64.b64encode(raw).decode().rstrip("=")
    yield base64.urlsafe_b64encode(raw).decode().rstrip("=")
    yield from _within_base64(raw)


def _within_base64(raw: bytes) -> Iterator[str]:
    """Yield what base64 has of a secret when something stands before it, such as the user in `Basic user:password`.

    Three bytes are four characters, so there are three ways in which a secret can begin; its first and its last
    character may belong to its neighbours too, and are left out.
    """
    for before, begins_at in ((0, 0), (1, 2), (2, 3)):
        encoded = base64.b64encode(bytes(before) + raw).decode().rstrip("=")
        own = encoded[begins_at : len(encoded) - bool((before + len(raw)) % 3)]
        if len(own) >= _LEAST_PART:
            yield own
            yield own.translate(str.maketrans("+/", "-_"))
