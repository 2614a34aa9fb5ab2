"""By name and by `.delay()`: every pair of an annotation and a value ends the same at the task.

Both ways are compared over a table: is the call accepted, what is sent, and what does the task receive? The last word
of a row says where they may differ, and for what reason:

- `same`: accepted by both with one payload and one value, or refused by both.
- `value`: the payloads differ, and the task receives the same value.
- `json`: `.delay()` refuses a value in its JSON form, or in a form that producers have who do not have the class. By
  name it is accepted, and the worker reads it.
- `late`: `.delay()` refuses, and by name the worker does: only code of the task's own, or a type that the library does
  not know, tells that the value is wrong.
- `early`: `.delay()` accepts what its worker then refuses. By name it is refused before anything is sent.
- `by name`: `.delay()` writes what its worker cannot read, or reads as another value. By name the value arrives.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from offload import PayloadError
from offload.core.enqueueing.payload_schema import PayloadSchema
from offload.core.tasks.signature import Signature
from tests.core.enqueueing.pairs import TABLE


def task_of(annotation: Any) -> Signature:
    def job(value): ...

    job.__annotations__ = {"value": annotation, "return": None}
    return Signature("job", job)


REFUSED = "refused"


def delayed(signature: Signature, value: Any) -> tuple[Any, Any]:
    """Return the payload that `.delay()` sends, and what the task receives."""
    try:
        payload = json.dumps(signature.bind((value,), {}))
    except PayloadError:
        return REFUSED, REFUSED
    return payload, received(signature, payload)


def named(signature: Signature, value: Any) -> tuple[Any, Any]:
    """Return the payload that is sent by name, and what the task receives."""
    schema = PayloadSchema("job", json.loads(json.dumps(signature.schema())))  # as it arrives in a manifest
    try:
        payload = json.dumps(schema.write({"value": value}))
    except PayloadError:
        return REFUSED, REFUSED
    return payload, received(signature, payload)


def received(signature: Signature, payload: str) -> Any:
    try:
        (value,) = signature.read(json.loads(payload)).values()
    except PayloadError:
        return REFUSED
    return repr([type(value), list(value) if type(value).__name__ == "ValidatorIterator" else value])


def verdict(annotation: Any, value: Any) -> str:
    """Return how the two ways compare, in the words of the table."""
    signature = task_of(annotation)
    (sent, there), (sent_by_name, there_by_name) = delayed(signature, value), named(signature, value)
    if sent == sent_by_name and there == there_by_name:
        return "lost" if there == REFUSED != sent else "same"
    if sent == REFUSED:
        return "late" if there_by_name == REFUSED else "json"
    if there == there_by_name:
        return "value" if sent_by_name != REFUSED else "early"
    if there == REFUSED:
        return "by name"
    return "corrupted"


def shown(value):
    """Name a case by its value, without the addresses of objects: the names are the same in each process."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))[:60]


def test_the_table_is_large():
    assert len(TABLE) >= 400
    assert len({str(annotation) for annotation, _, _ in TABLE}) >= 150


@pytest.mark.parametrize(("annotation", "value", "word"), TABLE, ids=shown)
def test_by_name_a_call_ends_as_by_delay(annotation, value, word):
    assert verdict(annotation, value) == word
