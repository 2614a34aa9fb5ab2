"""Ctrl-C while a task runs in a test: it ends the test, and is no failed attempt of the task."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


class Interrupts:
    """Notes that Ctrl-C came, because a worker records whatever its task raises, and so would swallow it.

    Attributes:
        came: True once Ctrl-C has come.
    """

    came: bool = False
    _watching: bool = False

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Note in the block that Ctrl-C comes; what it did before, it does still."""
        before = signal.getsignal(signal.SIGINT)
        if self._watching or threading.current_thread() is not threading.main_thread() or not callable(before):
            yield
            return

        def note(number: int, frame: Any) -> None:
            self.came = True
            before(number, frame)

        signal.signal(signal.SIGINT, note)
        self._watching = True
        try:
            yield
        finally:
            self._watching = False
            signal.signal(signal.SIGINT, before)

    def check(self) -> None:
        """Raise what was swallowed.

        Raises:
            KeyboardInterrupt: Ctrl-C came.
        """
        if self.came:
            raise KeyboardInterrupt
