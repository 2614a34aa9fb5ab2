"""The payload of a task that its producer does not import, checked by the schema in the stack's manifest.

`core/tasks/schema_writer.py` writes the schema from the function's annotations. The rules and the words of errors are
those of `.delay()`: `"5"` is an int, a datetime is written as ISO 8601, and every wrong field is named. A value may be
given in its JSON form, or as:

| the schema says                            | accepted too                                      |
|--------------------------------------------|---------------------------------------------------|
| `date-time`, `date`, `time`, `duration`    | the classes of `datetime`                         |
| `uuid`, `decimal`, `base64url`             | `UUID`, `Decimal`, `bytes`; a text for bytes is base64 |
| `enum`                                     | a member of an `Enum` with that value             |
| an object                                  | a model, a dataclass, any mapping                 |
| an array                                   | a tuple, a set, any sequence                      |

What a schema cannot say is left to the worker, which has the function: the part is accepted, and written as it was
given.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from pydantic import ValidationError
from pydantic_core import SchemaValidator, to_json, to_jsonable_python

from offload.core.enqueueing.json_schema import CONFIG, WRITING, rebuilt
from offload.core.errors import PayloadError
from offload.core.jobs.arguments import as_read, canonical

_KEPT = (str, int, float, bool, bytes, datetime, date, time, timedelta, UUID, Decimal, type(None))


def wrong_fields(task: str, error: Exception) -> PayloadError:
    """Return the error that names each wrong field of a payload.

    Input values stay out of the text: payloads do not belong in logs or records.
    """
    if not isinstance(error, ValidationError):
        return PayloadError(f"{task}: the payload cannot be written as JSON: {error}")
    wrong = (
        f"{'.'.join(str(part) for part in item['loc']) or 'payload'}: {item['msg']}"
        for item in error.errors(include_url=False, include_input=False, include_context=False)
    )
    return PayloadError(f"{task}: {'; '.join(wrong)}")


class PayloadSchema:
    """Checks and writes the payloads of one task, by the JSON schema of its signature."""

    def __init__(self, task: str, schema: Mapping[str, Any]) -> None:
        """Make the check.

        Args:
            task: The task's name, for errors.
            schema: The payload's JSON schema, as `Signature.schema` writes it.
        """
        self._task = task
        self._validator = SchemaValidator(rebuilt(schema), CONFIG)
        self._has_sets = '"uniqueItems"' in json.dumps(schema)

    def write(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Turn arguments by name, JSON values or Python ones, into a payload of JSON values.

        Raises:
            PayloadError: The arguments do not fit; names each wrong one.
        """
        try:
            checked = self._validator.validate_python(_plain(payload, with_sets=self._has_sets))
            written: dict[str, Any] = json.loads(to_json(checked, **WRITING))
            if self._has_sets:
                written = as_read(checked, written)
        except (ValueError, TypeError, LookupError, RecursionError) as error:  # what pydantic raises is a ValueError
            raise wrong_fields(self._task, error) from error
        return written


def _plain(value: Any, *, with_sets: bool) -> Any:
    """Return a value without classes of the caller's own: models and dataclasses as mappings.

    Args:
        value: The value.
        with_sets: Whether sets stay sets: a union may have a list too. Else they become lists, sorted.
    """
    if type(value) in _KEPT or isinstance(value, Enum):  # a number or a text takes a member too: it is read there
        return value
    if isinstance(value, Mapping):
        return {_plain(name, with_sets=with_sets): _plain(item, with_sets=with_sets) for name, item in value.items()}
    if isinstance(value, tuple):  # stays one: a union may have a list too
        return tuple(_plain(item, with_sets=with_sets) for item in value)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray | memoryview):
        return [_plain(item, with_sets=with_sets) for item in value]
    if isinstance(value, AbstractSet):
        return _plain_set(value, with_sets=with_sets)
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    if hasattr(value, "get_secret_value"):  # pydantic writes asterisks for it
        return _plain(value.get_secret_value(), with_sets=with_sets)
    return as_read(value, to_jsonable_python(value, **WRITING))


def _plain_set(value: AbstractSet[Any], *, with_sets: bool) -> Any:
    if with_sets and isinstance(value, set | frozenset) and all(type(item) in _KEPT for item in value):
        return value
    items = [_plain(item, with_sets=with_sets) for item in value]
    return sorted(items, key=lambda item: canonical(to_jsonable_python(item, **WRITING)))
