"""Edits: small changes of a syntax tree, each of which says what it looks for and how often that must be found.

An edit that finds more or less than that is `Unfit`: a fault that only seems to be planted would prove nothing.
"""

from __future__ import annotations

import ast
import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tests.simulation.places import Place, Unfit
from tests.simulation.selecting import OPERATORS, What, as_what, comparison

if TYPE_CHECKING:
    from collections.abc import Callable

_LISTS = ("elts", "args", "keywords", "cases", "handlers")


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of a place; `text` is what a person calls it."""

    text: str
    change: Callable[[Place], None]

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Code:
    """An expression to put somewhere.

    Attributes:
        text: Python in which `_` is what was found, and `_0`, `_1` are its arguments.
        names: Functions and classes that it names.
    """

    text: str
    names: tuple[Any, ...] = ()

    def __str__(self) -> str:
        return self.text

    def fill(self, found: ast.expr, place: Place) -> ast.expr:
        """Return the expression for what was found."""
        holes: dict[str, ast.expr] = {each.__name__: place.expression(each) for each in self.names} | {"_": found}
        if isinstance(found, ast.Call):
            holes |= {f"_{number}": argument for number, argument in enumerate(found.args)}
        filled: ast.expr = _Filled(holes).visit(ast.parse(self.text, mode="eval").body)
        return filled


class _Filled(ast.NodeTransformer):
    def __init__(self, holes: dict[str, ast.expr]) -> None:
        self._holes = holes

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return copy.deepcopy(self._holes[node.id]) if node.id in self._holes else node


def drop(thing: Any, *, times: int = 1) -> Edit:
    """Leave something out: a statement, branch, case or handler, an argument or an operand."""
    what = as_what(thing)

    def change(place: Place) -> None:
        for node in _found(what, place, times):
            _drop(node, place)

    return Edit(f"drop {what}", change)


def put(thing: Any, instead: Any, *, times: int = 1) -> Edit:
    """Put a value, or `Code`, in the place of an expression."""
    what = as_what(thing)

    def change(place: Place) -> None:
        for node in _found(what, place, times):
            assert isinstance(node, ast.expr)
            _replace(node, instead.fill(node, place) if isinstance(instead, Code) else place.expression(instead), place)

    return Edit(f"put {instead} for {what}", change)


def compare(sign: str, instead: str) -> Edit:
    """Compare by another operator."""
    what = comparison(sign)

    def change(place: Place) -> None:
        for node in _found(what, place, 1):
            assert isinstance(node, ast.Compare)
            node.ops[0] = OPERATORS[instead]()

    return Edit(f"compare by {instead} instead of {sign}", change)


def always(thing: Any) -> Edit:
    """Take a branch, or a conditional expression, whatever its condition says."""
    what = as_what(thing)

    def change(place: Place) -> None:
        for node in _found(what, place, 1):
            assert isinstance(node, ast.If | ast.IfExp)
            node.test = ast.Constant(value=True)

    return Edit(f"always take {what}", change)


def move(thing: Any, *, before: Any) -> Edit:
    """Move a statement to another of the same block that comes before it now."""
    what, target = as_what(thing), as_what(before)

    def change(place: Place) -> None:
        ((moved,), (first,)) = (_found(each, place, 1) for each in (what, target))
        block, other = _block(moved, place), _block(first, place)
        if block is not other or _index(block, moved) < _index(block, first):
            raise Unfit(f"{what} does not come after {target} in one block")
        block.insert(_index(block, first), block.pop(_index(block, moved)))

    return Edit(f"move {what} before {target}", change)


def first_case(pattern: type, answer: Any) -> Edit:
    """Return `answer` for whatever is a `pattern`, before the other cases of the only `match` statement."""
    what = What("a match statement", lambda place: (node for node in place.nodes() if isinstance(node, ast.Match)))

    def change(place: Place) -> None:
        for node in _found(what, place, 1):
            assert isinstance(node, ast.Match)
            matched = ast.MatchClass(place.expression(pattern), [], [], [])
            node.cases.insert(0, ast.match_case(matched, None, [ast.Return(place.expression(answer))]))

    return Edit(f"return {answer} for {pattern.__qualname__}", change)


def within(thing: Any, *edits: Edit) -> Edit:
    """Edit only a part of the place."""
    what = as_what(thing)

    def change(place: Place) -> None:
        for node in _found(what, place, 1):
            part = replace(place, node=node)
            for edit in edits:
                edit.change(part)

    return Edit(f"within {what}: {', '.join(map(str, edits))}", change)


def both(*edits: Edit) -> Edit:
    """Make several edits, one after the other."""

    def change(place: Place) -> None:
        for edit in edits:
            edit.change(place)

    return Edit(" and ".join(map(str, edits)), change)


def _found(what: What, place: Place, times: int) -> list[ast.AST]:
    found = list(what.find(place))
    if len(found) != times:
        raise Unfit(f"{what} was found {len(found)} times, not {times}")
    return found


def _drop(node: ast.AST, place: Place) -> None:
    parent, name = place.parent(node)
    match parent, name:
        case ((ast.keyword() | ast.Starred()), "value"):
            _drop(parent, place)
        case ast.Dict(keys=keys, values=values), _:
            at = _index(getattr(parent, name), node)
            del keys[at], values[at]
        case ast.BinOp(left=left, right=right), _:
            _replace(parent, right if node is left else left, place)
        case ast.BoolOp(values=values), _:
            del values[_index(values, node)]
            if len(values) == 1:
                _replace(parent, values[0], place)
        case _, "body" | "orelse" | "finalbody" if isinstance(node, ast.stmt):
            block = getattr(parent, name)
            at = _index(block, node)
            # What stands under `else` and `elif` is done then.
            block[at : at + 1] = node.orelse if isinstance(node, ast.If) else []
            if name == "body" and not block:
                block.append(ast.Pass())
        case _ if name in _LISTS:
            del getattr(parent, name)[_index(getattr(parent, name), node)]
        case _:
            raise Unfit(f"a {type(node).__name__} cannot be dropped from a {type(parent).__name__}")


def _replace(node: ast.AST, instead: ast.AST, place: Place) -> None:
    parent, name = place.parent(node)
    value = getattr(parent, name)
    if isinstance(value, list):
        value[_index(value, node)] = instead
    else:
        setattr(parent, name, instead)


def _block(node: ast.AST, place: Place) -> list[ast.stmt]:
    parent, name = place.parent(node)
    block: list[ast.stmt] = getattr(parent, name)
    return block


def _index(nodes: list[Any], node: ast.AST) -> int:
    return next(index for index, each in enumerate(nodes) if each is node)
