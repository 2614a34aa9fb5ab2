"""A function's signature as the schema of its payload and result.

The payload is a JSON object of the arguments by name. Both ends validate it with pydantic from the annotations alone,
so a model, dataclass, datetime, UUID, Decimal, Enum or bytes (base64) arrives as what was sent.
"""

from __future__ import annotations

import inspect
import json
from copy import deepcopy
from functools import cached_property
from typing import TYPE_CHECKING, Any, NotRequired, Optional, get_args, get_type_hints

from pydantic import (
    ConfigDict,
    PydanticSchemaGenerationError,
    PydanticUserError,
    SecretBytes,
    SecretStr,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import PydanticSerializationError, SchemaError
from typing_extensions import TypedDict

from offload.core.errors import DefinitionError, PayloadError, WrongResult
from offload.core.jobs.arguments import as_read

if TYPE_CHECKING:
    from collections.abc import Callable

_WRITING = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64", ser_json_inf_nan="strings")
_CONFIG = ConfigDict(extra="forbid", arbitrary_types_allowed=False, **_WRITING)
_make_typed_dict: Any = TypedDict  # the type checker knows only the class statement
_BOTH_NAMES: dict[str, Any] = {"by_alias": True, "by_name": True}
"""What is written has the fields' names, and other programs send their aliases: both are read."""
_OF_PYDANTIC = (TypeError, ValueError, RecursionError)
"""What pydantic and JSON raise for a payload that is wrong; a validator of the task's own may raise anything."""

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
            if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
                msg = (
                    f"task {name!r}: parameter {parameter} stands before `/`, so it has no name for callers: arguments "
                    "travel by name, so leave out the `/`"
                )
                raise DefinitionError(msg)
            if parameter.kind not in _BY_NAME:
                msg = (
                    f"task {name!r}: parameter {parameter} cannot be in a payload: "
                    "arguments travel by name, so give each its own ordinary parameter"
                )
                raise DefinitionError(msg)
            annotation = hints.get(parameter.name, Any)
            if any(each is SecretStr or each is SecretBytes for each in (annotation, *get_args(annotation))):
                msg = f"task {name!r}: parameter {parameter.name} would travel as asterisks: write offload.Secret[str]"
                raise DefinitionError(msg)
            optional = parameter.default is not inspect.Parameter.empty
            fields[parameter.name] = NotRequired[annotation] if optional else annotation
        payload = _make_typed_dict(f"{name}_payload", fields)
        payload.__pydantic_config__ = _CONFIG
        self._payload: TypeAdapter[dict[str, Any]] = self._adapter(payload, "parameters")
        self._returned = hints.get("return", Any)
        self._result: TypeAdapter[Any] = self._adapter(self._returned, "return annotation")
        self._shown = payload
        self._schema: dict[str, Any] | None = None

    def _adapter(self, kind: Any, what: str) -> TypeAdapter[Any]:
        # pydantic takes the settings for bytes and NaN only from the outermost type, and a model there takes none from
        # outside. Made optional, the type takes them.
        try:
            return TypeAdapter(Optional[kind], config=_WRITING)  # noqa: UP045 - `|` is not known to every annotation
        except (PydanticSchemaGenerationError, PydanticUserError, TypeError) as error:
            msg = f"task {self._name!r}: its {what} cannot be written as JSON: {str(error).splitlines()[0]}"
            raise DefinitionError(msg) from error
        except SchemaError as error:
            msg = f"task {self._name!r}: pydantic cannot check its {what}: {str(error).splitlines()[-1].strip()}"
            raise DefinitionError(msg) from error

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Turn a call's arguments into a payload of JSON values.

        Raises:
            PayloadError: The arguments do not fit; names the argument.
        """
        try:
            arguments = self._signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            msg = f"{self._name}: {self._missing(args, kwargs) or error}"
            raise PayloadError(msg) from error
        # Validating what was given catches the mistake at the caller; dumping it writes the JSON form.
        try:
            # A parameter that has an alias is called by its own name all the same.
            checked = self._payload.validate_python(arguments, **_BOTH_NAMES)
            # What only shows (computed fields, what a JSON text says) stays out: the worker could not read it.
            encoded: dict[str, Any] = json.loads(self._payload.dump_json(checked, warnings=False, round_trip=True))
        except OSError:
            raise  # a validator that asks elsewhere may get its answer the next time
        except Exception as error:
            raise self._wrong(error) from error
        in_payload: dict[str, Any] = as_read(checked, encoded)
        return in_payload

    def _missing(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
        """Name all arguments that a call lacks; None when something else is wrong with the call."""
        try:
            given = self._signature.bind_partial(*args, **kwargs).arguments
        except TypeError:
            return None
        parameters = self._signature.parameters.values()
        missing = [each.name for each in parameters if each.name not in given and each.default is each.empty]
        return (
            f"missing a required argument: {missing[0]!r}"
            if len(missing) == 1
            else (f"missing required arguments: {', '.join(map(repr, missing))}")
        )

    def read(self, payload: dict[str, Any]) -> dict[str, Any]:
        """Turn a payload of JSON values into keyword arguments.

        Raises:
            PayloadError: The payload does not fit the signature; names each wrong field.
        """
        try:
            return self._payload.validate_json(json.dumps(payload, separators=(",", ":")), **_BOTH_NAMES)
        except OSError:
            raise  # a validator that asks elsewhere may get its answer the next time
        except Exception as error:
            raise self._wrong(error) from error

    def _wrong(self, error: Exception) -> PayloadError:
        if not isinstance(error, _OF_PYDANTIC):
            # Its text stays out of the message: it may have what the payload has.
            return PayloadError(f"{self._name}: a validator of the task's own raised {type(error).__name__}")
        if not isinstance(error, ValidationError):
            return PayloadError(f"{self._name}: the payload cannot be written as JSON: {error}")
        return PayloadError(f"{self._name}: {_places(error, 'payload')}")

    def write_result(self, value: Any) -> str:
        """Write a result as JSON text by the return annotation, and make sure that it can be read by it.

        Reading the text costs once or twice what writing costs. A result without an annotation, or of type Any, is not
        read.

        Raises:
            WrongResult: The value has no JSON form, or is not what the annotation allows; names the place in it.
        """
        try:
            text = self._result.dump_json(value, warnings=False).decode()
        except (PydanticSerializationError, ValueError, TypeError, RecursionError) as error:
            msg = f"{self._name}: the result of type {type(value).__name__} cannot be written as JSON: {error}"
            raise WrongResult(msg) from error
        if self._returned is Any:
            return text
        try:
            if text != "null":
                self._result.validate_json(text, **_BOTH_NAMES)
            elif not self._may_return_none:
                raise WrongResult(f"{self._name}: the result is None, and the task is annotated {self._annotation}")
        except (ValidationError, RecursionError) as error:
            msg = f"{self._name}: the result is not what `{self._annotation}` allows: {_places(error, 'result')}"
            raise WrongResult(msg) from error
        return text

    @cached_property
    def _may_return_none(self) -> bool:
        if self._returned is None or self._returned is type(None):
            return True
        try:
            TypeAdapter(self._returned, config=None).validate_python(None)
        except (ValidationError, PydanticUserError):
            return False
        return True

    @property
    def _annotation(self) -> str:
        annotation = self._signature.return_annotation
        return f"-> {annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)}"

    def read_result(self, text: str) -> Any:
        """Read a result's JSON text back into the annotated type.

        Raises:
            PayloadError: The task returned something else, or is annotated otherwise by now.
        """
        try:
            return self._result.validate_json(text, **_BOTH_NAMES)
        except ValidationError as error:
            msg = f"{self._name}: the result is not what the task is annotated to return: {self._wrong(error)}"
            raise PayloadError(msg) from error

    def schema(self) -> dict[str, Any]:
        """Return the payload's JSON schema, with the defaults of optional parameters where JSON has them.

        `core/enqueueing/payload_schema.py` makes a check from it for producers that do not import the task.

        Raises:
            DefinitionError: A parameter takes values that could be sent, and never be read.
        """
        if self._schema is None:
            self._schema = self._write_schema()
        return deepcopy(self._schema)

    def _write_schema(self) -> dict[str, Any]:
        from offload.core.tasks.schema_writer import written_schema  # only deploying and showing tasks need it

        try:
            schema = written_schema(TypeAdapter(self._shown).core_schema)
        except DefinitionError as error:
            raise DefinitionError(f"task {self._name!r}: {error}") from error
        schema.pop("title", None)
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


def _places(error: Exception, whole: str) -> str:
    """Say what is wrong at which places; `whole` stands for the place that is the whole."""
    if not isinstance(error, ValidationError):
        return str(error)
    # Input values stay out of the message: payloads do not belong in logs or records.
    return "; ".join(
        f"{'.'.join(str(part) for part in item['loc']) or whole}: {item['msg']}"
        for item in error.errors(include_url=False, include_input=False, include_context=False)
    )
