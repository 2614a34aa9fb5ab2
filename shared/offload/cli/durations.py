"""Durations on the command line: seconds, or texts such as `90s`, `2h` and `7d`."""

from __future__ import annotations

from typing import Any

import click

from offload.core.durations import seconds
from offload.core.errors import DefinitionError


def duration(value: str) -> float:
    """Read a duration into seconds, as click's `type=`.

    Raises:
        BadParameter: It is none, or below zero; click names the option.
    """
    try:
        given: Any = float(value)
    except ValueError:
        given = value
    try:
        return seconds(given, field="value")
    except DefinitionError as error:
        raise click.BadParameter(str(error)) from error
