"""A CSV file whose rows are written while the file is read."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

# Excel, LibreOffice and Google Sheets read a cell as a formula when it begins with one of these characters, some of
# which are full-width forms. Source: OWASP, "CSV Injection".
_SIGNS = r"=+\-@\uff1d\uff0b\uff0d\uff20"
_BREAKS = r"\t\n\v\f\r\x85\u2028\u2029"
# What is not seen may be dropped before the cell is read: blanks of all widths, control characters, marks of byte order
# and of direction, characters without width.
_UNSEEN = (
    r" \u00a0\u1680\u2000-\u200a\u202f\u205f\u3000\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u115f\u1160"
    r"\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb"
)
FORMULA = re.compile(rf"[\t\r\n]|[{_BREAKS}{_UNSEEN}]*[{_SIGNS}]")
# Spreadsheets of many countries split lines at semicolons, and all of them split pasted text at tabs and line breaks.
# A formula may therefore begin inside a text too, after quotes and what is not seen. Breaks are not among what follows
# one: each begins a match of its own, so the search stays linear.
_INNER_FORMULA = re.compile(rf"""([;{_BREAKS}]["'{_UNSEEN}]*)(?=[{_SIGNS}])""")
_CHUNK = 128 * 1024  # characters
_MOST_DIGITS = 40  # numbers with more digits keep their exponent: DynamoDB's have 38, 1E+999999 would have a million


class CsvFile(io.RawIOBase):
    """Rows as a readable binary file. Only one chunk of the file is in memory at a time.

    Attributes:
        rows: Rows read so far, without the header.
        size: Bytes read so far.
    """

    def __init__(self, columns: Sequence[str], rows: Iterable[Mapping[str, Any]], *, guard: bool) -> None:
        """Write the header; the rows are read later, when the file is read.

        Args:
            columns: Names of the columns.
            rows: The rows, as values by column.
            guard: As in `cell`.
        """
        self.rows = self.size = 0
        self._columns, self._source, self._guard = columns, iter(rows), guard
        self._text = io.StringIO(newline="")
        self._csv = csv.writer(self._text)
        self._csv.writerow([cell(name, guard=guard) for name in columns])
        self._ready = b""
        self._position = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read the next bytes into the buffer; returns their number, which is 0 at the end of the file."""
        if self._position == len(self._ready):
            self._ready, self._position = self._next_chunk(), 0
        part = self._ready[self._position : self._position + len(buffer)]
        buffer[: len(part)] = part
        self._position += len(part)
        self.size += len(part)
        return len(part)

    def _next_chunk(self) -> bytes:
        while self._text.tell() < _CHUNK and (row := next(self._source, None)) is not None:
            self._csv.writerow([cell(row.get(name), guard=self._guard) for name in self._columns])
            self.rows += 1
        chunk = self._text.getvalue().encode(errors="replace")  # half of a surrogate pair becomes "?"
        self._text.seek(0)
        self._text.truncate()
        return chunk


def cell(value: Any, *, guard: bool) -> str:
    """Return one value as text: None as an empty text, lists and objects as JSON, bytes as base64.

    Args:
        value: A value of JSON or DynamoDB.
        guard: Put a `'` before whatever a spreadsheet would run as a formula: at the beginning of a text, and inside it
            where a spreadsheet may split the text. Numbers are never formulas, so `-5` stays `-5`.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return f"{value:f}" if value.is_finite() and abs(value.adjusted()) < _MOST_DIGITS else str(value)
    if isinstance(value, int | float):
        return str(value)
    text = value if isinstance(value, str) else _structure(value)
    if not guard:
        return text
    inner = _INNER_FORMULA.sub(r"\1'", text)
    return f"'{inner}" if FORMULA.match(text) else inner


def _structure(value: Any) -> str:
    if isinstance(value, dict | list | set):
        return json.dumps(value, default=_plain, separators=(",", ":"), ensure_ascii=False)
    return str(_plain(value))


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        whole = abs(value.adjusted()) < _MOST_DIGITS and value == value.to_integral_value()
        return int(value) if whole else float(value)
    if isinstance(value, set):
        return sorted(value, key=str)
    return base64.b64encode(bytes(value)).decode()
