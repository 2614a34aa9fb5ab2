"""How long the twins keep objects and expired records: as long as the deployed stack does."""

from __future__ import annotations

from offload.core.retention import DAY, folder_lives

LATE_DELETION = 2 * DAY
"""Seconds after which DynamoDB has deleted an expired record at the latest, as far as the twin goes."""

_LIVES = folder_lives()


def days_kept(key: str) -> int | None:
    """Return how many days the bucket keeps an object; None for objects that no rule deletes."""
    folder = "/".join(key.split("/", 2)[:2]) + "/"
    return _LIVES.get(folder)
