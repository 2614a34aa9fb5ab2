"""A run's error as the job record keeps it."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any

from offload.core.redaction import redact
from offload.core.tasks.retry_policy import grouped

if TYPE_CHECKING:
    from offload.core.records import ErrorRecord

_MESSAGE, _TRACEBACK = 1_000, 4_000
_REDACTED = 64_000
"""Characters of a text that are looked through for secrets, of which far fewer are kept."""
_NAME = vars(type)["__name__"]
_TRACEBACK_OF = vars(BaseException)["__traceback__"]
_ABOVE = ("offload.runtime", "aws_lambda_powertools", "asyncio", "contextlib")


def describe(error: BaseException, attempt: int) -> ErrorRecord:
    """Return an error as the record keeps it, bounded in size, whatever the error does when it is printed."""
    kind, message = _kind_and_message(error)
    shown = _traceback(error)[-_TRACEBACK:]
    return {"type": kind, "message": message, "traceback": shown, "attempt": attempt}


def explain(wrong: Exception, attempt: int = 0) -> ErrorRecord:
    """Return an error that is not the task's, without traceback; attempt 0 is for what never reached the task."""
    kind, message = _kind_and_message(wrong)
    return {"type": kind, "message": message, "traceback": "", "attempt": attempt}


def type_name(error: BaseException) -> str:
    """Return the name of an error's class, whatever its metaclass makes of it."""
    name: str = _NAME.__get__(type(error))
    return name


def _kind_and_message(error: BaseException) -> tuple[str, str]:
    try:
        message = str(error)
    except BaseException as broken:  # noqa: BLE001 - a user's __str__ may raise anything
        message = f"(its text cannot be shown: {type_name(broken)})"
    first = grouped(error)[0]
    if first is not error:  # a group's own text names none of its errors
        message = f"{message[:_MESSAGE]}: {': '.join(_kind_and_message(first))}"
    return type_name(error)[:_MESSAGE], redact(_printable(message[:_REDACTED]))[:_MESSAGE]


def _traceback(error: BaseException) -> str:
    try:
        shown = traceback.TracebackException(type(error), error, _user_frames(error), limit=-25, compact=True)
        # Each part is a frame or an error's text; a text without end would push the frames out.
        # A secret is redacted before anything is cut off, because a short piece of it would not be recognised.
        parts = [redact(_printable(part[:_REDACTED])) for part in shown.format()]
        return "".join(part if len(part) <= _MESSAGE else f"{part[:_MESSAGE]}...\n" for part in parts)
    except BaseException as broken:  # noqa: BLE001 - it looks into the error and its like, which may be built to break it
        frames = redact("".join(traceback.format_tb(_user_frames(error), limit=-25)))
        return f"Traceback (most recent call last):\n{frames}(the rest cannot be shown: {type_name(broken)})"


def _user_frames(error: BaseException) -> Any:
    # The worker's frames above the task's tell its author nothing. Frames below the task's stay, although some are the
    # worker's: it raises the soft limit from wherever the task is, and its author wants to know where that was.
    frame = _TRACEBACK_OF.__get__(error)  # the real one, whatever the error makes of it
    while frame is not None and frame.tb_frame.f_globals.get("__name__", "").startswith(_ABOVE):
        frame = frame.tb_next
    return frame


def _printable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
