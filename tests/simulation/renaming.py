"""A refactoring to try the planted faults on: each local name of a module is renamed, and its functions are moved.

Renamed are parameters, variables, and whatever else a function binds, with the keywords of the calls that name a
parameter. The names of fields, of methods and of what a module offers stay; for these, a fault names the object itself.
"""

from __future__ import annotations

import ast
import inspect
from typing import TYPE_CHECKING, Any

from tests.simulation.places import UNKNOWN, Place, bound_names

if TYPE_CHECKING:
    from collections.abc import Iterator

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_OWN_SCOPE = (*_FUNCTIONS, ast.ClassDef)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def refactor(source: str, names: dict[str, Any]) -> str:
    """Return a module's text with other local names, its functions in reverse order, and no comments.

    Args:
        source: The module's text.
        names: What the names of the module stand for.
    """
    tree = _Renamed(names).visit(ast.parse(source))
    for block in [tree.body, *(each.body for each in ast.walk(tree) if isinstance(each, ast.ClassDef))]:
        _reverse_functions(block)
    return ast.unparse(ast.fix_missing_locations(tree))


def _reverse_functions(block: list[ast.stmt]) -> None:
    places = [at for at, each in enumerate(block) if isinstance(each, ast.FunctionDef)]
    moved = [block[at] for at in reversed(places)]
    for at, function in zip(places, moved, strict=True):
        block[at] = function


def _bound(function: ast.AST) -> set[str]:
    """Return what a function binds itself; what the functions in it bind is theirs."""
    bound, foreign = set[str](), set[str]()
    for node in _own(function):
        bound |= set(bound_names(node))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            bound.add(node.name)
        if isinstance(node, ast.Global | ast.Nonlocal):
            foreign |= set(node.names)
    return bound - foreign


def _own(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, _OWN_SCOPE):
            yield from _own(child)


def _targets(loop: ast.comprehension) -> Iterator[str]:
    return (each.id for each in ast.walk(loop.target) if isinstance(each, ast.Name))


class _Renamed(ast.NodeTransformer):
    def __init__(self, names: dict[str, Any]) -> None:
        self._names = names
        self._bound: list[set[str]] = []

    def _new(self, name: str) -> str:
        return f"{name}_renamed" if any(name in each for each in self._bound) else name

    def visit(self, node: ast.AST) -> Any:
        if isinstance(node, _FUNCTIONS):
            return self._visit_function(node)
        if isinstance(node, _COMPREHENSIONS) and not self._bound:  # outside of functions it has names of its own
            self._bound.append({name for each in node.generators for name in _targets(each)})
            visited = self.generic_visit(node)
            self._bound.pop()
            return visited
        match node:
            case ast.Name(name):
                node.id = self._new(name)
            case ast.arg(name):
                node.arg = self._new(name)
            case (
                ast.ClassDef(name=str(name))
                | ast.ExceptHandler(name=str(name))
                | ast.MatchAs(name=str(name))
                | ast.MatchStar(name=str(name))
            ):
                node.name = self._new(name)
            case ast.Nonlocal(names):
                node.names = [self._new(name) for name in names]
            case ast.alias(name) if self._bound:
                node.asname = self._new(node.asname or name)
            case ast.Call(keywords=keywords) if self._names_parameters(node):
                for keyword in keywords:
                    keyword.arg = keyword.arg and f"{keyword.arg}_renamed"
        return self.generic_visit(node)

    def _visit_function(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> ast.AST:
        if not isinstance(node, ast.Lambda):
            node.name = self._new(node.name)
        # Defaults belong to the scope outside.
        node.args.defaults = [self.visit(each) for each in node.args.defaults]
        node.args.kw_defaults = [each and self.visit(each) for each in node.args.kw_defaults]
        self._bound.append(_bound(node))
        for each in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg):
            if each is not None:
                each.arg = self._new(each.arg)
        if isinstance(node, ast.Lambda):
            node.body = self.visit(node.body)
        else:
            node.body = [self.visit(each) for each in node.body]
        self._bound.pop()
        return node

    def _names_parameters(self, node: ast.Call) -> bool:
        """Tell whether a call's keywords are parameters of a function or method of the library."""
        local = frozenset(set().union(*self._bound)) if self._bound else frozenset()
        function = Place(ast.Module([], []), node, self._names, local).value(node.func)
        if function is UNKNOWN:
            return isinstance(node.func, ast.Attribute)
        return inspect.isroutine(function) and str(getattr(function, "__module__", "")).startswith("offload.")
