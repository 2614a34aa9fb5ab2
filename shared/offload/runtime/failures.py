"""A run's error as the job record keeps it."""

from __future__ import annotations

import traceback
from typing import Any

_MESSAGE, _TRACEBACK = 1_000, 4_000
_ABOVE = ("offload.runtime", "aws_lambda_powertools", "asyncio", "contextlib")


def describe(error: BaseException, attempt: int) -> dict[str, Any]:
    """Return `type`, `message`, `traceback` and `attempt`, bounded in size, whatever the error does when printed."""
    try:
        message = str(error)
    except Exception as broken:  # noqa: BLE001 - a user's __str__ may raise anything
        message = f"(its text cannot be shown: {type(broken).__name__})"
    lines = traceback.TracebackException(type(error), error, _user_frames(error), limit=-25, compact=True).format()
    return {
        "type": type(error).__name__[:_MESSAGE],
        "message": _printable(message)[:_MESSAGE],
        "traceback": _printable("".join(lines))[-_TRACEBACK:],
        "attempt": attempt,
    }


def explain(wrong: Exception) -> dict[str, Any]:
    """Return the error of a message that never reached the task: no attempt, and no frames but the worker's own."""
    return {**describe(wrong, 0), "traceback": ""}


def _user_frames(error: BaseException) -> Any:
    # The frames above the task's tell its author nothing. Those below may be the worker's too: a soft limit, say, is
    # raised by it from wherever the task is, which is what its author wants to know.
    frame = error.__traceback__
    while frame is not None and frame.tb_frame.f_globals.get("__name__", "").startswith(_ABOVE):
        frame = frame.tb_next
    return frame


def _printable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
