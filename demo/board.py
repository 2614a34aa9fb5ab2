"""What people see of the demo: the jobs as they run, and a table of how they ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from rich.live import Live
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from rich.console import Console

    from demo.trials import Trial
    from demo.verdicts import Verdict
    from offload import Job

_COLOURS = {"SUCCEEDED": "green", "FAILED": "red", "RETRYING": "yellow", "RUNNING": "cyan", "CANCELLED": "magenta"}


class Board:
    """Shows the jobs: a live table on a terminal, a line for each change anywhere else."""

    def __init__(self, console: Console, trials: Sequence[Trial]) -> None:
        """Show `trials` on `console`."""
        self._console = console
        self._trials = trials
        self._said: dict[str, str] = {}
        self._live = Live(console=console, refresh_per_second=8, transient=True) if console.is_terminal else None

    def __enter__(self) -> Self:
        """Begin to show."""
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop showing."""
        if self._live:
            self._live.stop()

    def show(self, jobs: dict[str, Job], dead_lettered: set[str], seconds: float) -> None:
        """Show where the jobs stand.

        Args:
            jobs: Records by job id, as far as there are any.
            dead_lettered: Ids of the jobs whose message lies in a dead-letter queue.
            seconds: Since they were enqueued.
        """
        if self._live:
            table = Table(box=None, pad_edge=False, header_style="bold")
            for column in ("task", "what", "state", "attempt", "progress"):
                table.add_column(column)
            for trial in self._trials:
                job = jobs.get(trial.job_id)
                state = job.state if job else "PENDING"
                attempt = str(job.attempt) if job and job.attempt else ""
                how_far = _how_far(trial, job, dead_lettered) if job else ""
                table.add_row(trial.task, trial.title, _coloured(state), attempt, how_far)
            self._live.update(table)
            return
        for trial in self._trials:
            job = jobs.get(trial.job_id)
            said = f"{job.state} {_how_far(trial, job, dead_lettered)}".strip() if job else ""
            if said and self._said.get(trial.job_id) != said:
                self._said[trial.job_id] = said
                line = f"  {seconds:5.1f} s  {trial.task:<16} {trial.title:<36} {said}"
                self._console.print(line, markup=False, highlight=False, soft_wrap=True)


def print_verdicts(console: Console, verdicts: Sequence[Verdict]) -> None:
    """Print how each job ended, and whether it should have."""
    table = Table(title="How each job ended", title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in ("task", "what", "outcome", "attempts", "seconds", "as expected"):
        table.add_column(column, overflow="fold", justify="right" if column in ("attempts", "seconds") else "left")
    for verdict in verdicts:
        seconds = "" if verdict.seconds is None else f"{verdict.seconds:.1f}"
        good = "[green]yes[/green]" if verdict.ok else f"[red]no: {verdict.difference}[/red]"
        outcome = _coloured(verdict.state) + (" [dim]in the DLQ[/dim]" if verdict.dead_letter else "")
        table.add_row(verdict.trial.task, verdict.trial.title, outcome, str(verdict.attempts), seconds, good)
    console.print()
    console.print(table)
    for verdict in verdicts:
        if verdict.reason:
            line = f"{verdict.trial.task} ({verdict.trial.title}): {verdict.reason}"
            console.print(line, markup=False, highlight=False, soft_wrap=True)


def progress_of(job: Job | None) -> str:
    """Write a job's progress, such as `2/4 600 px`."""
    if job is None or not job.progress:
        return ""
    current, total = job.progress.get("current"), job.progress.get("total")
    counted = "" if current is None else f"{current}" if total is None else f"{current}/{total}"
    return f"{counted} {job.progress.get('stage') or ''}".strip()


def _how_far(trial: Trial, job: Job, dead_lettered: set[str]) -> str:
    """Tell how far a job has come: its progress, or its message's way to the dead-letter queue."""
    if not (trial.expected.dead_letter and job.state.ended):
        return progress_of(job)
    # SQS moves it by itself once it was received too often; the embedded engine looks about once a second.
    return "and in the DLQ" if job.id in dead_lettered else "and on its way to the DLQ"


def _coloured(state: str) -> str:
    colour = _COLOURS.get(state)
    return f"[{colour}]{state}[/{colour}]" if colour else str(state)
