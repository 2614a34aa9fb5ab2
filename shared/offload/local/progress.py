"""Says what is being done: a live line on a terminal, plain lines anywhere else."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_WIDEST_DETAIL = 90


class Progress:
    """Reports steps to people, on standard error: standard output is for answers.

    Attributes:
        console: Where it reports.
    """

    def __init__(self, console: Console | None = None) -> None:
        """Report to `console`, by default standard error."""
        self.console = console or Console(stderr=True, highlight=False)

    @contextlib.contextmanager
    def step(self, doing: str) -> Iterator[Callable[[str], None]]:
        """Report one step: its name, what it is at (call what is yielded), and how long it took.

        Args:
            doing: What is being done, such as "starting the engine".
        """
        began = time.monotonic()
        if not self.console.is_terminal:
            self.say(f"{doing} ...")
            yield lambda _detail: None
            self.say(f"  {doing}: done in {time.monotonic() - began:.1f} s")
            return
        with self.console.status(escape(doing)) as status:

            def show(detail: str) -> None:
                status.update(f"{escape(doing)} [dim]{escape(detail[:_WIDEST_DETAIL])}[/dim]")

            yield show
        self.console.print(f"[green]✓[/green] {escape(doing)} [dim]{time.monotonic() - began:.1f} s[/dim]")

    def say(self, line: str) -> None:
        """Print one line as it is."""
        self.console.print(line, markup=False, soft_wrap=True)


class Silent(Progress):
    """Reports nothing: for tests and for `--json`."""

    def __init__(self) -> None:
        """Report to nobody."""
        super().__init__(Console(quiet=True))
