"""Fingerprints: the same failure of many jobs under one short name."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_VARYING = re.compile(r"0x[0-9a-f]+|[0-9a-f]{8}-[0-9a-f-]{27}|\d+|'[^']*'|\"[^\"]*\"")
_FRAME = re.compile(r'^  File ".*?([^/"]+/[^/"]+)", line \d+, in (\S+)', re.MULTILINE)


def fingerprint(error: Mapping[str, Any]) -> str:
    """Return eight hex digits that are equal for errors of one kind from one place.

    Made of the error's type, the innermost frame's file and function (not its line, which moves with every edit), and
    the message without numbers, ids and quoted values.
    """
    frames = _FRAME.findall(error.get("traceback", ""))
    place = "/".join(frames[-1]) if frames else ""
    message = _VARYING.sub("#", error.get("message", ""))
    return hashlib.sha256(f"{error.get('type', '')}|{place}|{message}".encode()).hexdigest()[:8]
