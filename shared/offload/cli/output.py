"""The output of commands: a table on a terminal, tab-separated lines in a pipe, JSON with `--json`.

Whatever a command says goes through this module. Reasons, bodies, stages of progress and names in records may come from
anybody, and control characters in them could rule the terminal, or turn the direction of what is read. So every
character that is not printable is written as its escape sequence, which in JSON means the same character.
"""

from __future__ import annotations

import json
import os
import sys
import unicodedata
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def say(text: str, *, error: bool = False) -> None:
    """Print a text of one or more lines, to stderr if it is an error."""
    click.echo("\n".join(map(printable, text.split("\n"))), err=error)


def printable(line: str) -> str:
    """Return a line with escape sequences in the place of all characters that are not printable."""
    return "".join(
        char if _is_printable(char) else char.encode("unicode_escape", "backslashreplace").decode() for char in line
    )


BROKEN_PIPE = 141
"""Exit code of a command whose output was closed before its work was done; shells say so of SIGPIPE."""


def drop_output() -> None:
    """Print nothing more: the reader of the pipe has ended, as `head` does, and Python would print an error at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(nowhere, stream.fileno())


def print_json(value: Any) -> None:
    """Print a value as indented JSON."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    click.echo("".join(char if char == "\n" or _is_printable(char) else _json_escape(char) for char in text))


def _is_printable(char: str) -> bool:
    return char.isprintable() or unicodedata.category(char) == "Zs"  # blanks of all widths do no harm


def _json_escape(char: str) -> str:
    # JSON writes what lies above U+FFFF in two halves.
    return json.dumps(char)[1:-1] if ord(char) > _LAST_OF_PLANE else f"\\u{ord(char):04x}"


_LAST_OF_PLANE = 0xFFFF


def print_rows(columns: Sequence[str], rows: Sequence[dict[str, Any]], *, as_json: bool, empty: str) -> None:
    """Print rows.

    Args:
        columns: Keys to print, in order; they are the headings too.
        rows: One dict for each row. JSON output contains all keys.
        as_json: Print a JSON array.
        empty: Text to print on a terminal when there are no rows.
    """
    if as_json:
        print_json(rows)
        return
    if not sys.stdout.isatty():
        click.echo("\t".join(map(printable, columns)))
        for row in rows:
            click.echo("\t".join(_cell(row.get(column)) for column in columns))
        return
    if not rows:
        say(empty)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        numeric = all(isinstance(row.get(column), int | float | None) for row in rows)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_coloured(column, _cell(row.get(column))) for column in columns))
    Console().print(table)


def print_fields(fields: dict[str, Any], *, as_json: bool) -> None:
    """Print the fields of one object, as `name: value` lines or as a JSON object."""
    if as_json:
        print_json(fields)
        return
    for name, value in fields.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
        text = "\n".join(printable(line) for line in text.split("\n"))
        heading = printable(name)
        click.echo(f"{click.style(heading, bold=True)}: {text}" if "\n" not in text else f"{heading}:\n{text}")


_COLOURS = {"SUCCEEDED": "green", "FAILED": "red", "RETRYING": "yellow", "RUNNING": "cyan", "CANCELLED": "magenta"}


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return ",".join(printable(str(item)) for item in value)
    return printable(str(value))


def _coloured(column: str, text: str) -> str:
    from rich.markup import escape

    colour = _COLOURS.get(text) if column == "state" else None
    return f"[{colour}]{text}[/{colour}]" if colour else escape(text)


def progress_line() -> Callable[[str], None]:
    """Return a function that shows progress on stderr: it rewrites a terminal line; a pipe gets nothing."""
    if not sys.stderr.isatty():
        return lambda _text: None
    return lambda text: click.echo(f"\r\x1b[K{printable(text)}", nl=False, err=True)
