"""Faults in the check of payloads whose task is only named."""

from __future__ import annotations

from dataclasses import is_dataclass

from pydantic_core import ValidationError

from offload.client.named_tasks import NamedTasks
from offload.core.enqueueing import json_schema, schema_words
from offload.core.enqueueing.payload_schema import PayloadSchema
from offload.core.errors import DefinitionError
from offload.core.jobs import arguments
from offload.core.tasks import readable
from offload.core.tasks.known_types import passes_through
from offload.core.tasks.own_code import OwnCode
from offload.core.tasks.schema_writer import _Writing
from offload.core.tasks.signature import Signature
from tests.simulation.edits import Code, drop, put, within
from tests.simulation.planting import Mutant
from tests.simulation.selecting import branch, call, comparison, handler, naming, statement

_TABLE = "tests/core/enqueueing/test_schema_and_delay.py"

MUTANTS = (
    Mutant(
        "by name: the payload is sent as it was given",
        NamedTasks._request,
        put(call(PayloadSchema.write), Code("_0")),
        tests="tests/client",
    ),
    Mutant(
        "by name: what a validator of the task's own sees first is refused",
        json_schema._Rebuilding._value,
        drop(comparison("in", schema_words.LEFT_TO_WORKER)),
        tests=_TABLE,
    ),
    Mutant(
        "schema: a text is bytes where it may be a text too",
        json_schema._bytes_from_text,
        put(call(bytearray), Code("_0")),
        tests=_TABLE,
    ),
    Mutant(
        "schema: a choice is taken that code of the task's own refuses",
        _Writing.union,
        drop(branch(on=OwnCode.is_in)),
        tests=_TABLE,
    ),
    Mutant(
        "schema: what is strict refuses its JSON form",
        json_schema._leaf,
        drop(branch(doing=json_schema._strict)),
        tests=_TABLE,
    ),
    Mutant(
        "schema: rules that JSON schema has no word for are lost",
        json_schema._leaf,
        put(naming(schema_words.RULES), ""),
        tests=_TABLE,
    ),
    Mutant(
        "schema: names in mappings are texts",
        json_schema._Rebuilding._object,
        put(naming(schema_words.KEYS), "", times=2),
        tests=_TABLE,
    ),
    Mutant(
        "schema: a field has one name",
        json_schema._Rebuilding._field,
        put(naming(schema_words.ALIASES), ""),
        tests=_TABLE,
    ),
    Mutant(
        "schema: a task may take values that its worker never reads",
        readable.check_values,
        within(handler(ValidationError), drop(statement(DefinitionError))),
        tests="tests/core/tasks",
    ),
    Mutant(
        "schema: a validator that raises what it likes breaks the worker",
        Signature.read,
        drop(handler(Exception)),
        tests="tests/runtime/test_own_validators.py",
    ),
    Mutant(
        "schema: a secret is not checked",
        _Writing.with_code,
        put(call(passes_through), None, times=2),
        tests="tests/core/enqueueing",
    ),
    Mutant(
        "schema: bytes in hexadecimal are written as base64",
        json_schema._bytes,
        drop(branch(on=schema_words.HEX)),
        tests=_TABLE,
    ),
    Mutant(
        "schema: a dataclass is sent what it makes itself",
        arguments._object,
        put(call(is_dataclass), False),
        tests=_TABLE,
    ),
    Mutant(
        "schema: a task may take a value that is nowhere in what is sent",
        _Writing.object_,
        drop(statement(readable.check_field)),
        tests="tests/core/tasks/test_readable.py",
    ),
    Mutant(
        "schema: bytes may be written in another way than they are read",
        _Writing.leaf,
        drop(statement(readable.check_bytes)),
        tests="tests/core/tasks/test_readable.py",
    ),
)
