"""A run's error as the job record keeps it."""

from __future__ import annotations

import traceback
from typing import Any

_MESSAGE, _TRACEBACK = 1_000, 4_000
_ABOVE = ("offload.runtime", "aws_lambda_powertools", "asyncio", "contextlib")


def describe(error: BaseException, attempt: int) -> dict[str, Any]:
    """Return `type`, `message`, `traceback` and `attempt`, bounded in size, whatever the error does when printed."""
    return {**_told(error), "traceback": _printable(_traceback(error))[-_TRACEBACK:], "attempt": attempt}


def explain(wrong: Exception) -> dict[str, Any]:
    """Return the error of a message that never reached the task: no attempt, and no frames but the worker's own."""
    return {**_told(wrong), "traceback": "", "attempt": 0}


def _told(error: BaseException) -> dict[str, Any]:
    try:
        message = str(error)
    except BaseException as broken:  # noqa: BLE001 - a user's __str__ may raise anything
        message = f"(its text cannot be shown: {type(broken).__name__})"
    return {"type": type(error).__name__[:_MESSAGE], "message": _printable(message[:_MESSAGE])}


def _traceback(error: BaseException) -> str:
    try:
        told = traceback.TracebackException(type(error), error, _user_frames(error), limit=-25, compact=True)
        # Each part is a frame or an error's text; a text without end would push the frames out.
        return "".join(part if len(part) <= _MESSAGE else f"{part[:_MESSAGE]}...\n" for part in told.format())
    except Exception as broken:  # noqa: BLE001 - it looks into the error and its like, which may be built to break it
        return f"(its traceback cannot be shown: {type(broken).__name__})"


def _user_frames(error: BaseException) -> Any:
    # The frames above the task's tell its author nothing. Those below may be the worker's too: a soft limit, say, is
    # raised by it from wherever the task is, which is what its author wants to know.
    frame = error.__traceback__
    while frame is not None and frame.tb_frame.f_globals.get("__name__", "").startswith(_ABOVE):
        frame = frame.tb_next
    return frame


def _printable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
