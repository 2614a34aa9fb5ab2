"""The output of commands: a table on a terminal, tab-separated lines in a pipe, JSON with `--json`."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def print_json(value: Any) -> None:
    """Print a value as indented JSON."""
    click.echo(_encodable(json.dumps(value, indent=2, ensure_ascii=False, default=str)))


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
        click.echo("\t".join(columns))
        for row in rows:
            click.echo("\t".join(_cell(row.get(column)) for column in columns))
        return
    if not rows:
        click.echo(empty)
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
        text = "\n".join(_plain(line) for line in text.splitlines())
        click.echo(f"{click.style(name, bold=True)}: {text}" if "\n" not in text else f"{name}:\n{text}")


_COLOURS = {"SUCCEEDED": "green", "FAILED": "red", "RETRYING": "yellow", "RUNNING": "cyan", "CANCELLED": "magenta"}


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return ",".join(str(item) for item in value)
    return _plain(str(value))


def _plain(line: str) -> str:
    """Return a line without control characters.

    Reasons and bodies may come from anybody, and control characters in them could change the terminal.
    """
    return "".join(char if char.isprintable() else " " for char in line)


def _encodable(text: str) -> str:
    # JSON can contain one half of a surrogate pair, which has no encoding. Its escape sequence has the same meaning.
    return text.encode("utf-8", "backslashreplace").decode()


def _coloured(column: str, text: str) -> str:
    from rich.markup import escape

    colour = _COLOURS.get(text) if column == "state" else None
    return f"[{colour}]{text}[/{colour}]" if colour else escape(text)


def progress_line() -> Callable[[str], None]:
    """Return a function that shows progress on stderr: it rewrites a terminal line; a pipe gets nothing."""
    if not sys.stderr.isatty():
        return lambda _text: None
    return lambda text: click.echo(f"\r\x1b[K{text}", nl=False, err=True)
