"""What an edit looks for in its place: `What` values, each of which finds nodes of a syntax tree.

They go by what a rename of locals and parameters leaves as it is: objects of the library (functions, classes, fields,
constants), the stored data's own words, operators, kinds of statements and their order. An object is recognised however
the module names or imports it.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from offload.core.writes import Test
from tests.simulation.places import UNKNOWN, Place, fields_of

_COMPOUND = (ast.If, ast.For, ast.While, ast.Try, ast.With, ast.Match, ast.FunctionDef, ast.ClassDef)
OPERATORS: dict[str, type[ast.cmpop]] = {">=": ast.GtE, ">": ast.Gt, "==": ast.Eq, "in": ast.In}
_Find = Callable[[Place], Iterable[ast.AST]]


@dataclass(frozen=True, slots=True)
class What:
    """Something to look for; `text` is what a person calls it."""

    text: str
    find: _Find

    def __str__(self) -> str:
        return self.text


def naming(thing: Any) -> What:
    """An expression that names an object (a constant, function, class, method or property) or a word of stored data."""
    return _each(f"naming {_shown(thing)}", lambda node, place: _names(node, thing, place))


def call(function: Any) -> What:
    """A call of a function, method or class."""
    return _each(
        f"a call of {_shown(function)}",
        lambda node, place: isinstance(node, ast.Call) and _names(node.func, function, place),
    )


def attribute(of: type, name: str) -> What:
    """A use of a field of a class."""
    _check_field(of, name)
    return _each(
        f"a use of {of.__qualname__}.{name}", lambda node, _: isinstance(node, ast.Attribute) and node.attr == name
    )


def argument(of: Any, at: str | int) -> What:
    """An argument of a call: what a class is given for the field `at`, or number `at` (0 is the first)."""
    number = at if isinstance(at, int) else _check_field(of, at)

    def find(place: Place) -> Iterable[ast.AST]:
        for node in call(of).find(place):
            assert isinstance(node, ast.Call)
            if number < len(node.args):
                yield node.args[number]
            yield from (keyword.value for keyword in node.keywords if keyword.arg == at)

    return What(f"argument {at} of {_shown(of)}", find)


def condition(attribute: str) -> What:
    """A `Test` of an attribute of a record."""
    return _each(
        f"a Test of {attribute!r}",
        lambda node, place: (
            isinstance(node, ast.Call)
            and _names(node.func, Test, place)
            and bool(node.args)
            and place.value(node.args[0]) == attribute
        ),
    )


def key(name: Any) -> What:
    """A key of a dictionary that is written out."""
    return What(f"a key {_shown(name)}", lambda place: (key for key, _ in _entries(place, name)))


def entry(name: Any, value: Any = None) -> What:
    """The value under a key of a dictionary that is written out; with `value`, where it names that."""
    wanted = _perhaps(value)
    return What(
        f"an entry {_shown(name)}{f' with {wanted}' if wanted else ''}",
        lambda place: (node for _, node in _entries(place, name) if wanted is None or _holds(node, wanted, place)),
    )


def pair(first: str) -> What:
    """A tuple that is written out and begins with a word."""
    return _each(
        f"a tuple that begins with {first!r}",
        lambda node, _: (
            isinstance(node, ast.Tuple)
            and bool(node.elts)
            and isinstance(node.elts[0], ast.Constant)
            and node.elts[0].value == first
        ),
    )


def comparison(sign: str, of: Any = None) -> What:
    """A comparison by an operator; with `of`, one that names that."""
    wanted = _perhaps(of)
    return _each(
        f"a comparison by {sign}{f' {wanted}' if wanted else ''}",
        lambda node, place: (
            isinstance(node, ast.Compare)
            and isinstance(node.ops[0], OPERATORS[sign])
            and (wanted is None or _holds(node, wanted, place))
        ),
    )


def conditional() -> What:
    """A conditional expression, `a if b else c`."""
    return _each("a conditional expression", lambda node, _: isinstance(node, ast.IfExp))


def branch(*, on: Any = None, doing: Any = None) -> What:
    """An `if` statement; with `on`, one whose condition names that; with `doing`, one whose block does."""
    condition, block = _perhaps(on), _perhaps(doing)

    def fits(node: ast.AST, place: Place) -> bool:
        return (
            isinstance(node, ast.If)
            and (condition is None or _holds(node.test, condition, place))
            and (block is None or any(_holds(each, block, place) for each in node.body))
        )

    said = (f" on {condition}" if condition else "") + (f" doing {block}" if block else "")
    return _each(f"an if{said}", fits)


def case(thing: Any) -> What:
    """A case of a `match` statement whose pattern names an object."""
    wanted = naming(thing)
    return _each(
        f"a case {_shown(thing)}",
        lambda node, place: isinstance(node, ast.match_case) and _holds(node.pattern, wanted, place),
    )


def handler(error: type[BaseException]) -> What:
    """An `except` block for an error."""
    wanted = naming(error)
    return _each(
        f"an except {error.__name__}",
        lambda node, place: (
            isinstance(node, ast.ExceptHandler) and node.type is not None and _holds(node.type, wanted, place)
        ),
    )


def statement(thing: Any) -> What:
    """A statement without a block of its own that names an object or a word of the stored data."""
    wanted = as_what(thing)
    return _each(
        f"a statement {wanted}",
        lambda node, place: (
            isinstance(node, ast.stmt) and not isinstance(node, _COMPOUND) and _holds(node, wanted, place)
        ),
    )


def go_on() -> What:
    """A `continue`."""
    return _each("a continue", lambda node, _: isinstance(node, ast.Continue))


def returned() -> What:
    """What a `return` returns."""
    return What(
        "a returned value",
        lambda place: (node.value for node in place.nodes() if isinstance(node, ast.Return) and node.value is not None),
    )


def parameter(number: int) -> What:
    """A use of the function's parameter `number` (0 is the first)."""

    def fits(node: ast.AST, place: Place) -> bool:
        assert isinstance(place.node, ast.FunctionDef)
        return isinstance(node, ast.Name) and node.id == place.node.args.args[number].arg

    return _each(f"a use of parameter {number}", fits)


def as_what(thing: Any) -> What:
    """Return what names a thing; what is `What` already stays as it is."""
    return thing if isinstance(thing, What) else naming(thing)


def _perhaps(thing: Any) -> What | None:
    return None if thing is None else as_what(thing)


def _each(text: str, fits: Callable[[ast.AST, Place], bool]) -> What:
    return What(text, lambda place: (node for node in place.nodes() if fits(node, place)))


def _holds(node: ast.AST, wanted: What, place: Place) -> bool:
    part = Place(place.module, node, place.names, place.local)
    return any(True for _ in wanted.find(part))


def _entries(place: Place, name: Any) -> Iterable[tuple[ast.expr, ast.expr]]:
    for node in place.nodes():
        if isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            yield from ((key, value) for key, value in pairs if key is not None and _names(key, name, place))


def _names(node: ast.AST, thing: Any, place: Place) -> bool:
    value = place.value(node)
    if value is not UNKNOWN:
        return value is thing or (type(value) is type(thing) and bool(value == thing))
    # The owner of a method is known to a run alone; the method's name is that of the object all the same.
    return isinstance(node, ast.Attribute) and node.attr == _member(thing)


def _member(thing: Any) -> str | None:
    """Return the name of a property or method; None for anything else."""
    function = thing.fget if isinstance(thing, property) else thing
    return function.__name__ if "." in getattr(function, "__qualname__", "") and inspect.isfunction(function) else None


def _check_field(of: type, name: str) -> int:
    """Return a field's number among the fields of a class."""
    fields = fields_of(of)
    if name not in fields:
        raise AttributeError(f"{of.__qualname__} has no field {name!r}; it has {', '.join(fields)}")
    return fields.index(name)


def _shown(thing: Any) -> str:
    return getattr(thing, "__qualname__", None) or _member(thing) or repr(thing)
