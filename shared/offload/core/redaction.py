"""Secrets among a job's arguments: how they are marked, and how they are kept out of records, errors and logs.

    @task
    def charge(order: int, token: Secret[str]) -> None: ...

A task gets the plain value, and so does whoever reads the message in its queue or dead-letter queue, or a large payload
in the bucket. Everything else that the library writes down about the job is redacted: a text that contains the value of
a secret argument has `***` in its place. What the task itself returns is its result, as it is.

Reading a payload notes the values that are marked, however deep in a model they lie (`learning_secrets`). From then on
`redact` knows them, until the next payload is read. Simulated workers take turns in one process, so each has its own;
a thread that a task starts sees those of the payload that its process read last.

Pieces of secrets are looked for (`core/spellings.py`). They are cut when the first text of a job is redacted, because
most jobs have none.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from offload.core.spellings import Pieces, leaves

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic_core import CoreSchema

T = TypeVar("T")

SHOWN = "***"
"""What stands for a secret."""


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
        # The leaves are taken now, because the task may change the values before its error is written.
        self._leaves = tuple(dict.fromkeys(leaves(values)))
        self._pieces: Pieces | None = None

    def redact(self, text: str) -> str:
        """Return a text with `***` in the place of each secret, and of each piece of one."""
        if not self._leaves:
            return text
        if self._pieces is None:
            self._pieces = Pieces(self._leaves)
        shown, end_of_last = [], -1
        for start, end in self._pieces.found(text):
            if start > end_of_last:
                shown += [text[max(end_of_last, 0) : start], SHOWN]
            end_of_last = max(end, end_of_last)
        return "".join([*shown, text[max(end_of_last, 0) :]])

    def redact_json(self, text: str) -> str:
        """Return a JSON text whose texts are redacted; its names and its numbers stay as they are."""
        if not self._leaves:
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
