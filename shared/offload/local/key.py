"""The key of an engine: the access key with which programs sign their requests to it.

The key is random, and only its owner can read its file. So a program of another user, or a page in a browser, cannot
sign a request that the engine takes (see `guard`).
"""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from offload.local.errors import LocalError

if TYPE_CHECKING:
    from pathlib import Path

_BYTES = 32
"""Random bytes of the secret part."""


@dataclass(frozen=True, slots=True)
class Key:
    """An access key.

    Attributes:
        access_key: The public part, which each signature names.
        secret_key: The secret part, which signs.
    """

    access_key: str
    secret_key: str = field(repr=False)


def read(path: Path) -> Key:
    """Read the key of an engine.

    Raises:
        LocalError: The file is missing or broken.
    """
    try:
        return Key(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise LocalError(f"the engine's key {path} cannot be read: `offload local down`, then `up`") from error


def make(path: Path) -> Key:
    """Return the engine's key; a new one is made when there is none, or when others may read the one that is there.

    The key outlives the engine's process, so a shell that has evaluated `offload local env` stays valid.
    """
    try:
        if path.stat().st_mode & 0o077 == 0:
            return read(path)
    except (OSError, LocalError):
        pass  # there is none, or it is broken
    path.unlink(missing_ok=True)
    key = Key("OFFLOAD" + secrets.token_hex(8).upper(), secrets.token_urlsafe(_BYTES))
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(file, "w", encoding="utf-8") as out:
        json.dump(asdict(key), out)
    return key
