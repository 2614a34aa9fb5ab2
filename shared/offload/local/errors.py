"""The errors of the local engine."""

from __future__ import annotations

from offload.core.errors import OffloadError


class LocalError(OffloadError):
    """The local engine cannot carry out the command. The message is one line that says what to do."""


class NotRunning(LocalError):
    """No local engine is running."""
