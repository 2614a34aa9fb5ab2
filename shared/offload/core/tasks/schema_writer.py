"""How the JSON schema of a payload is written; `core/enqueueing/json_schema.py` reads it.

It is pydantic's, with four differences. It has no titles, which only repeat the names. A `Decimal` has a format, since
"a number or a text" could be anything. A field with an alias has its own name beside it, under which it is written. And
a part whose JSON form the annotations do not say is marked: there a validator of the task's own sees the value first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic.json_schema import GenerateJsonSchema

from offload.core.enqueueing.json_schema import BOUNDS, DECIMAL, FIELD_NAME, LEFT_TO_WORKER

if TYPE_CHECKING:
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import core_schema


class SchemaWriter(GenerateJsonSchema):
    """Writes the JSON schema of a payload."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic's signature
        """Return False: a title would only repeat the field's name."""
        return False

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> JsonSchemaValue:
        """Write a `Decimal` by its format, with its bounds."""
        given: dict[str, Any] = {**schema}
        bounds = {keyword: float(given[name]) for keyword, name in BOUNDS.items() if given.get(name) is not None}
        return {"type": "string", "format": DECIMAL, **bounds}

    def function_before_schema(self, schema: core_schema.BeforeValidatorFunctionSchema) -> JsonSchemaValue:
        """Mark what a validator of the task's own sees first."""
        return {**super().function_before_schema(schema), LEFT_TO_WORKER: True}

    def function_wrap_schema(self, schema: core_schema.WrapValidatorFunctionSchema) -> JsonSchemaValue:
        """Mark what a validator of the task's own sees first."""
        return {**super().function_wrap_schema(schema), LEFT_TO_WORKER: True}

    def function_plain_schema(self, schema: core_schema.PlainValidatorFunctionSchema) -> JsonSchemaValue:
        """Mark what a validator of the task's own sees alone."""
        return {**super().function_plain_schema(schema), LEFT_TO_WORKER: True}

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        """Write a model with the names of its fields beside their aliases."""
        return _with_names(super().model_schema(schema), schema["cls"])

    def dataclass_schema(self, schema: core_schema.DataclassSchema) -> JsonSchemaValue:
        """Write a dataclass with the names of its fields beside their aliases."""
        return _with_names(super().dataclass_schema(schema), schema["cls"])


def _with_names(written: JsonSchemaValue, cls: Any) -> JsonSchemaValue:
    properties = dict(written.get("properties", {}))
    for name, field in getattr(cls, "__pydantic_fields__", {}).items():
        alias = field.validation_alias
        if alias is not None and not isinstance(alias, str):
            return {**written, LEFT_TO_WORKER: True}  # several aliases, or a path to the value
        if alias is not None and alias != name and alias in properties:
            properties[alias] = {**properties[alias], FIELD_NAME: name}
    return {**written, "properties": properties} if properties else written
