"""A CSV file that is written while it is read."""

from __future__ import annotations

import base64
import csv
import io
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Buffer, Iterable, Mapping, Sequence

# OWASP, "CSV Injection": what makes Excel, LibreOffice or Google Sheets take a cell for a formula, full-width included.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001 - full-width on purpose
_CHUNK = 256 * 1024


class CsvFile(io.BufferedReader):
    """Rows as a readable binary file, of which only a chunk exists at a time.

    Attributes:
        rows: Rows read so far, without the header.
        size: Bytes read so far.
    """
