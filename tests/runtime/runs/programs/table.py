"""The table of programs: what Python lets a function do, each in a few lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Note = Callable[[Any], None]
    """Notes that something has happened."""

    Program = Callable[[Note], Any]

PROGRAMS: dict[str, Program] = {}
"""Each program by its name. It is given a `Note`, and returns what JSON can hold, or raises."""


def program(function: Program) -> Program:
    """Add a function to the table."""
    name = f"{function.__module__.rpartition('.')[2]}: {function.__name__}"
    assert name not in PROGRAMS
    PROGRAMS[name] = function
    return function
