"""A function's signature as the schema of its payload and result.

The payload is a JSON object of the arguments by name. Both ends validate it with pydantic from the annotations alone,
so a model, dataclass, datetime, UUID, Decimal, Enum or bytes (base64) arrives as what was sent.
"""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any, NotRequired, Optional, get_type_hints

from pydantic import ConfigDict, PydanticSchemaGenerationError, PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError
from typing_extensions import TypedDict

from offload.core.errors import DefinitionError, PayloadError

if TYPE_CHECKING:
    from collections.abc import Callable

_WRITING = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64", ser_json_inf_nan="strings")
_CONFIG = ConfigDict(extra="forbid", arbitrary_types_allowed=False, **_WRITING)
_make_typed_dict: Any = TypedDict  # the type checker knows only the class statement
_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class Signature:
    """Validates and encodes one task's arguments and result.

    Args:
        name: The task's name, for errors.
        function: The task's function; every parameter becomes a field of the payload.

    Raises:
        DefinitionError: A parameter cannot be part of a JSON payload.
    """

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        """Build the payload's and the result's adapters; fails at import, not at the first job."""
        self._name = name
        self._signature = inspect.signature(function)
        try:
            hints = get_type_hints(function, include_extras=True)
        except (NameError, TypeError) as error:
            msg = f"task {name!r}: an annotation cannot be resolved: {error}. Import the name at module level"
            raise DefinitionError(msg) from error
        fields: dict[str, Any] = {}
        for parameter in self._signature.parameters.values():
            if parameter.kind not in _BY_NAME:
                msg = (
                    f"task {name!r}: parameter {parameter} cannot be in a payload: "
                    "arguments travel by name, so give each its own ordinary parameter"
                )
                raise DefinitionError(msg)
            annotation = hints.get(parameter.name, Any)
            optional = parameter.default is not inspect.Parameter.empty
            fields[parameter.name] = NotRequired[annotation] if optional else annotation
        payload = _make_typed_dict(f"{name}_payload", fields)
        payload.__pydantic_config__ = _CONFIG
        self._payload: TypeAdapter[dict[str, Any]] = self._adapter(payload, "parameters")
        self._returned = hints.get("return", Any)
        self._result: TypeAdapter[Any] = self._adapter(self._returned, "return annotation")
        self._shown = payload

    def _adapter(self, kind: Any, what: str) -> TypeAdapter[Any]:
        # pydantic takes the settings for bytes and NaN only from the outermost type, and a model there takes none from
        # outside. Made optional, the type takes them.
        try:
            return TypeAdapter(Optional[kind], config=_WRITING)  # noqa: UP045 - `|` is not known to every annotation
        except (PydanticSchemaGenerationError, PydanticUserError, TypeError) as error:
            msg = f"task {self._name!r}: its {what} cannot be written as JSON: {str(error).splitlines()[0]}"
            raise DefinitionError(msg) from error

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Turn a call's arguments into a payload of JSON values.

        Raises:
            PayloadError: The arguments do not fit; names the argument.
        """
        try:
            arguments = self._signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            msg = f"{self._name}: {error}"
            raise PayloadError(msg) from error
        # Validating what was given catches the mistake at the caller; dumping it writes the JSON form.
        try:
            checked = self._payload.validate_python(arguments)
            encoded: dict[str, Any] = json.loads(self._payload.dump_json(checked, warnings=False))
        except (ValidationError, PydanticSerializationError) as error:
            raise self._wrong(error) from error
        return encoded

    def read(self, payload: dict[str, Any]) -> dict[str, Any]:
        """Turn a payload of JSON values into keyword arguments.

        Raises:
            PayloadError: The payload does not fit the signature; names each wrong field.
        """
        try:
            return self._payload.validate_json(json.dumps(payload, separators=(",", ":")))
        except (ValidationError, RecursionError) as error:
            raise self._wrong(error) from error

    def _wrong(self, error: Exception) -> PayloadError:
        if not isinstance(error, ValidationError):
            return PayloadError(f"{self._name}: the payload cannot be written as JSON: {error}")
        # Input values stay out of the message: payloads do not belong in logs or records.
        wrong = (
            f"{'.'.join(str(part) for part in item['loc']) or 'payload'}: {item['msg']}"
            for item in error.errors(include_url=False, include_input=False, include_context=False)
        )
        return PayloadError(f"{self._name}: {'; '.join(wrong)}")

    def write_result(self, value: Any) -> str:
        """Write a result as JSON text by the return annotation.

        Raises:
            PayloadError: The value has no JSON form.
        """
        try:
            return self._result.dump_json(value, warnings=False).decode()
        except (PydanticSerializationError, ValueError, TypeError, RecursionError) as error:
            msg = f"{self._name}: the result of type {type(value).__name__} cannot be written as JSON: {error}"
            raise PayloadError(msg) from error

    def read_result(self, text: str) -> Any:
        """Read a result's JSON text back into the annotated type.

        Raises:
            PayloadError: The task returned something else, or is annotated otherwise by now.
        """
        try:
            return self._result.validate_json(text)
        except ValidationError as error:
            msg = f"{self._name}: the result is not what the task is annotated to return: {self._wrong(error)}"
            raise PayloadError(msg) from error

    def schema(self) -> dict[str, Any]:
        """Return the payload's JSON schema, with the defaults of optional parameters where JSON has them."""
        schema = TypeAdapter(self._shown).json_schema()
        for name, parameter in self._signature.parameters.items():
            if parameter.default is not inspect.Parameter.empty and name in schema.get("properties", {}):
                try:
                    default = TypeAdapter(type(parameter.default)).dump_python(parameter.default, mode="json")
                except (PydanticSchemaGenerationError, PydanticSerializationError):
                    continue
                schema["properties"][name]["default"] = default
        return schema

    def result_schema(self) -> dict[str, Any]:
        """Return the result's JSON schema."""
        return TypeAdapter(self._returned).json_schema(mode="serialization")
