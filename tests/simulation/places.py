"""Places: the syntax tree of a function, method, class or module of the library, and what the names in it stand for."""

from __future__ import annotations

import ast
import builtins
import dataclasses
import inspect
import sys
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

UNKNOWN = object()
"""What stands for a value that only a run has."""

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_NO_CODE = ("annotation", "returns", "decorator_list", "ctx")


class Unfit(Exception):
    """An edit does not fit its place; the text says what was not found."""


@dataclass(slots=True)
class Place:
    """The syntax tree of a module, and the part of it that is to be edited.

    Attributes:
        module: The module.
        node: The part.
        names: What the module's names stand for.
        local: Names that stand for something of the function instead.
        imports: Statements that the edits need at the top of the module.
    """

    module: ast.Module
    node: ast.AST
    names: Mapping[str, Any]
    local: frozenset[str]
    imports: list[ast.stmt] = field(default_factory=list)

    @classmethod
    def of(cls, thing: Any, source: str | None = None) -> Place:
        """Return the place of an object of the library.

        Args:
            thing: A function, method, property, class or module.
            source: Text of its module; None reads the file.
        """
        home = module_of(thing)
        tree = ast.parse(source if source is not None else Path(file_of(thing)).read_text(encoding="utf-8"))
        node: ast.AST = tree
        for name in _path(thing):
            node = _definition(node, name)
        return cls(tree, node, vars(home), frozenset(_local_names(node)))

    def value(self, node: ast.AST) -> Any:
        """Return what an expression stands for, as far as that is known without a run; else `UNKNOWN`."""
        match node:
            case ast.Constant(value):
                return value
            case ast.Name(name, ast.Load()) if name not in self.local:
                return self.names.get(name, getattr(builtins, name, UNKNOWN))
            case ast.Attribute(owner, name):
                known = self.value(owner)
                return UNKNOWN if known is UNKNOWN else getattr(known, name, UNKNOWN)
        return UNKNOWN

    def expression(self, value: Any) -> ast.expr:
        """Write a value of Python as an expression that can stand in this place."""
        match value:
            case Enum():
                return ast.Attribute(self.expression(type(value)), value.name, ast.Load())
            case None | bool() | int() | float() | str():
                return ast.Constant(value)
            case tuple() if type(value) is tuple:
                return ast.Tuple([self.expression(part) for part in value], ast.Load())
            case type() | FunctionType():
                return ast.Name(self._name(value), ast.Load())
        given = [getattr(value, name) for name in fields_of(type(value))]
        return ast.Call(self.expression(type(value)), [self.expression(part) for part in given], [])

    def _name(self, value: Any) -> str:
        """Return a name of a function or class here; it is imported when the module has none."""
        for name, other in self.names.items():
            if other is value and name not in self.local:
                return name
        name = f"planted_{value.__name__}"
        alias = ast.alias(value.__name__, name)
        self.imports.append(ast.ImportFrom(value.__module__, [alias], 0))
        return name

    def nodes(self) -> Iterator[ast.AST]:
        """Yield the part's nodes in their order, without annotations and decorators."""
        return code(self.node)

    def parent(self, node: ast.AST) -> tuple[ast.AST, str]:
        """Return the node that holds a node, and the field that holds it."""
        for parent in ast.walk(self.module):
            for name, value in ast.iter_fields(parent):
                if value is node or (isinstance(value, list) and any(item is node for item in value)):
                    return parent, name
        raise AssertionError(node)

    def text(self) -> str:
        """Return the module as text, with what its edits import."""
        statements = self.module.body
        last = max((at for at, each in enumerate(statements) if _is_future(each)), default=-1)
        body = [*statements[: last + 1], *self.imports, *statements[last + 1 :]]
        return ast.unparse(ast.fix_missing_locations(ast.Module(body, [])))


def module_of(thing: Any) -> ModuleType:
    """Return the module that an object of the library is written in."""
    return thing if isinstance(thing, ModuleType) else sys.modules[_function(thing).__module__]


def file_of(thing: Any) -> str:
    """Return the file that an object of the library is written in."""
    file = inspect.getsourcefile(module_of(thing))
    assert file is not None  # the library is written in Python
    return file


def name_of(thing: Any) -> str:
    """Return the full name of an object of the library."""
    return ".".join((module_of(thing).__name__, *_path(thing)))


def fields_of(kind: type) -> tuple[str, ...]:
    """Return the names of a data class's or named tuple's fields, in the order in which its call takes them."""
    if dataclasses.is_dataclass(kind):
        return tuple(each.name for each in dataclasses.fields(kind) if each.init)
    return getattr(kind, "_fields", ())


def code(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a node and all below it in their order, without annotations and decorators."""
    yield node
    for name, value in ast.iter_fields(node):
        if name in _NO_CODE:
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from code(child)


def _function(thing: Any) -> Any:
    function: Any = thing.fget if isinstance(thing, property) else thing
    return inspect.unwrap(function)


def _path(thing: Any) -> list[str]:
    return [] if isinstance(thing, ModuleType) else _function(thing).__qualname__.split(".")


def _definition(node: ast.AST, name: str) -> ast.AST:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _DEFINITIONS) and child.name == name:
            return child
    raise Unfit(f"{name} is not defined there")


def _local_names(node: ast.AST) -> Iterator[str]:
    functions = [each for each in ast.walk(node) if isinstance(each, _FUNCTIONS)]
    for function in functions:
        for each in ast.walk(function):
            yield from bound_names(each)
            if isinstance(each, _DEFINITIONS) and each is not node:
                yield each.name


def bound_names(node: ast.AST) -> Iterator[str]:
    """Yield the names that a node binds by itself: a parameter, a variable, an import, an error or a pattern."""
    match node:
        case ast.arg(name):
            yield name
        case ast.Name(name, ast.Store() | ast.Del()):
            yield name
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            yield name
        case ast.MatchMapping(rest=str(name)):
            yield name
        case ast.Import(names) | ast.ImportFrom(names=names):
            yield from ((alias.asname or alias.name).partition(".")[0] for alias in names)


def _is_future(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.ImportFrom) and statement.module == "__future__"
