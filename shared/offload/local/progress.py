"""Progress reports: one changing line on a terminal, plain lines elsewhere."""

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
    """Reports steps on standard error, because standard output is for results.

    Attributes:
        console: The console to which steps are reported.
    """

    def __init__(self, console: Console | None = None) -> None:
        """Report to `console`; None means standard error."""
        self.console = console or Console(stderr=True, highlight=False)

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[Callable[[str], None]]:
        """Report one step: its title, its details, and its duration.

        Args:
            title: The step, such as "starting the engine".

        Yields:
            A function that shows a detail of the step.
        """
        began = time.monotonic()
        if not self.console.is_terminal:
            self.print_line(f"{title} ...")
            yield lambda _detail: None
            self.print_line(f"  {title}: done in {time.monotonic() - began:.1f} s")
            return
        with self.console.status(escape(title)) as status:

            def show_detail(detail: str) -> None:
                status.update(f"{escape(title)} [dim]{escape(detail[:_WIDEST_DETAIL])}[/dim]")

            yield show_detail
        self.console.print(f"[green]✓[/green] {escape(title)} [dim]{time.monotonic() - began:.1f} s[/dim]")

    def print_line(self, line: str) -> None:
        """Print one line without markup."""
        self.console.print(line, markup=False, soft_wrap=True)


class Silent(Progress):
    """Reports nothing: for tests and for `--json`."""

    def __init__(self) -> None:
        """Create a console that prints nothing."""
        super().__init__(Console(quiet=True))
