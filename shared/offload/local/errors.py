"""What the local engine refuses, in one line that says what to do."""

from __future__ import annotations

from offload.core.errors import OffloadError


class LocalError(OffloadError):
    """The local engine cannot do what was asked; the message is one line with the remedy."""


class NotRunning(LocalError):
    """No local engine is running."""
