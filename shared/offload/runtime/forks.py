"""Forked children of a run: each ends where it leaves the task's code, as the child of a script ends.

A child that went on would be a second worker: it would record the end of the run, run the rest of the batch, and ask
Lambda for the next one, all in the name of its parent.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType


class ChildrenEnd:
    """A block that is left in the process alone that has made this object; every child of it ends there.

    A child ends as the forked children of `multiprocessing` do: it waits for its own threads, flushes its output, and
    runs nothing that was registered with `atexit`, because that is its parent's.
    """

    def __init__(self) -> None:
        """Note the process."""
        self._process = os.getpid()

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        """End the process, if it is a child."""
        self.end(error)

    def end(self, error: BaseException | None) -> None:
        """End the process, if it is a child, by what came out of the task's code; None for a return."""
        if os.getpid() == self._process:
            return
        code = 1
        try:
            code = _explain(error)
            threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001 - no public function waits for all
        finally:
            for stream in (sys.stdout, sys.stderr):
                with suppress(Exception):
                    stream.flush()
            os._exit(code)


def _explain(error: BaseException | None) -> int:
    """Write what the interpreter writes at the end of a program, and return the program's code."""
    if error is None:
        return 0
    if not issubclass(type(error), SystemExit):  # by type: an error may lie about its class
        sys.excepthook(type(error), error, error.__traceback__)
        return 1
    code: Any = getattr(error, "code", None)
    if code is None or isinstance(code, int):
        return (code or 0) & 0xFF
    sys.stderr.write(f"{code}\n")
    return 1
