"""Which functions can be tasks: those of which a job can do what a plain call does."""

from __future__ import annotations

import inspect
from functools import partial
from typing import Any, NoReturn

from offload.core.errors import DefinitionError

_METHODS = (staticmethod, classmethod, property)


def check_function(function: Any) -> None:
    """Refuse what cannot be a task.

    A decorated function is judged by the function that is decorated (`__wrapped__`).

    Raises:
        DefinitionError: It cannot; says why and what to write instead.
    """
    shown = getattr(function, "__qualname__", None) or repr(function)
    if isinstance(function, type):
        _refuse(shown, "it is a class", "write a function that makes the object")
    if isinstance(function, partial):
        _refuse(shown, "a partial has no name", "write a def that makes the call")
    if isinstance(function, _METHODS) or inspect.ismethod(function) or _is_in_class(function):
        _refuse(shown, "it is a method, and no object can be in a payload", "move it out of the class")
    inner = inspect.unwrap(function) if callable(function) else function
    if not inspect.isfunction(inner):
        _refuse(shown, "it is no function that is written in Python", "write a def")
    if inner.__name__ == "<lambda>":
        _refuse(shown, "a lambda has no name", "write a def")
    if any(inspect.isgeneratorfunction(each) or inspect.isasyncgenfunction(each) for each in (function, inner)):
        # A plain call would run nothing of it, and a job would have to run it to its end.
        _refuse(shown, "it is a generator, and a job returns one result", "return a list of what it yields")
    if inspect.iscoroutinefunction(inner) and not inspect.iscoroutinefunction(function):
        _refuse(shown, "its decorator makes an ordinary function of an async one", "use a decorator that is async too")


def _is_in_class(function: Any) -> bool:
    outside, _, _ = getattr(function, "__qualname__", "").rpartition(".")
    return bool(outside) and not outside.endswith("<locals>")


def _refuse(shown: str, why: str, instead: str) -> NoReturn:
    raise DefinitionError(f"{shown} cannot be a task: {why}. Instead, {instead}")
