"""Durations as people write them: `"30s"`, `"5m"`, `"4m30s"`, `"2h"`, `"7d"`, seconds or a timedelta."""

from __future__ import annotations

import re
import sys
from datetime import timedelta

from offload.core.errors import DefinitionError

_ACCEPTED = "a number of seconds, a timedelta, or a text such as '30s', '5m', '4m30s', '2h', '7d'"

Duration = str | int | float | timedelta

_LONGEST = 3650 * 86400
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")


def seconds(value: Duration, *, field: str, least: float = 0, most: float | None = None) -> float:
    """Read a duration.

    Args:
        value: A number (seconds), a timedelta, or a text of numbers with units `ms s m h d w`.
        field: The setting's name, for the error.
        least: Smallest allowed value in seconds, inclusive.
        most: Largest allowed value in seconds, inclusive; ten years when None.

    Returns:
        Seconds.

    Raises:
        DefinitionError: Not a duration, or out of range; names the field and what it takes.
    """
    total = _parse(value, field)
    most = _LONGEST if most is None else most
    if not least <= total <= most:
        msg = f"{field}={value!r} is out of range: give at least {text(least)} and at most {text(most)}"
        raise DefinitionError(msg)
    return total


def _parse(value: Duration, field: str) -> float:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max:
        return float(value)
    if isinstance(value, str):
        compact = value.strip().lower().replace(" ", "")
        parts = _PART.findall(compact)
        if parts and "".join(number + unit for number, unit in parts) == compact:
            return sum(float(number) * _UNITS[unit] for number, unit in parts)
    msg = f"{field}={value!r} is not a duration: give {_ACCEPTED}"
    raise DefinitionError(msg)


def text(value: float) -> str:
    """Write seconds the short way: 90 is `1m30s`."""
    if value < 1:
        return f"{round(value * 1000)}ms" if value else "0s"
    rest, out = round(value, 3), ""
    for unit in ("d", "h", "m"):
        count, rest = divmod(rest, _UNITS[unit])
        out += f"{int(count)}{unit}" if count else ""
    return out + (f"{rest:g}s" if rest or not out else "")
