"""A run's error as the job record keeps it."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from offload.core.records import ErrorRecord

_MESSAGE, _TRACEBACK = 1_000, 4_000
_ABOVE = ("offload.runtime", "aws_lambda_powertools", "asyncio", "contextlib")


def describe(error: BaseException, attempt: int) -> ErrorRecord:
    """Return an error as the record keeps it, bounded in size, whatever the error does when it is printed."""
    kind, message = _kind_and_message(error)
    shown = _printable(_traceback(error))[-_TRACEBACK:]
    return {"type": kind, "message": message, "traceback": shown, "attempt": attempt}


def explain(wrong: Exception) -> ErrorRecord:
    """Return the error of a message that never reached the task: no attempt, and no traceback of the task's code."""
    kind, message = _kind_and_message(wrong)
    return {"type": kind, "message": message, "traceback": "", "attempt": 0}


def _kind_and_message(error: BaseException) -> tuple[str, str]:
    try:
        message = str(error)
    except BaseException as broken:  # noqa: BLE001 - a user's __str__ may raise anything
        message = f"(its text cannot be shown: {type(broken).__name__})"
    return type(error).__name__[:_MESSAGE], _printable(message[:_MESSAGE])


def _traceback(error: BaseException) -> str:
    try:
        shown = traceback.TracebackException(type(error), error, _user_frames(error), limit=-25, compact=True)
        # Each part is a frame or an error's text; a text without end would push the frames out.
        return "".join(part if len(part) <= _MESSAGE else f"{part[:_MESSAGE]}...\n" for part in shown.format())
    except Exception as broken:  # noqa: BLE001 - it looks into the error and its like, which may be built to break it
        return f"(its traceback cannot be shown: {type(broken).__name__})"


def _user_frames(error: BaseException) -> Any:
    # The worker's frames above the task's tell its author nothing. Frames below the task's stay, although some are the
    # worker's: it raises the soft limit from wherever the task is, and its author wants to know where that was.
    frame = error.__traceback__
    while frame is not None and frame.tb_frame.f_globals.get("__name__", "").startswith(_ABOVE):
        frame = frame.tb_next
    return frame


def _printable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
