"""`offload jobs`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from offload.cli.output import json_option, print_fields, print_rows, progress_line
from offload.core.errors import ResultTimeout, UnknownJob
from offload.core.jobs import Job, State
from offload.core.producing import RETRY_TIMEOUT

if TYPE_CHECKING:
    from offload.client import Client

_APPEARS = 30
"""Seconds a job may have no record: a message sent by another program gets one when it is first received."""


@click.group()
def jobs() -> None:
    """Show, list, wait for, cancel and retry jobs."""


@jobs.command()
@click.argument("job_id")
@json_option
@click.pass_obj
def show(stack: Any, job_id: str, as_json: bool) -> None:
    """Show a job's whole record and, when it has one, its result."""
    client = stack.client()
    print_fields(described(client, client.job(job_id)), as_json=as_json)


@jobs.command(name="list")
@click.option("--task", help="Only this task's jobs.")
@click.option(
    "--state",
    type=click.Choice([state.value for state in State], case_sensitive=False),
    help="FAILED, RETRYING or SCHEDULED; the others are not indexed.",
)
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="Most jobs to list.")
@json_option
@click.pass_obj
def list_(stack: Any, task: str | None, state: str | None, limit: int, as_json: bool) -> None:
    """List the jobs that need attention, newest first: FAILED, RETRYING and SCHEDULED.

    A job that simply succeeds is in no index, which keeps it cheap: look it up by its id.
    """
    from offload.operate.listing import list_jobs

    found = list_jobs(stack.client(), task=task, state=State(state.upper()) if state else None, limit=limit)
    rows = [job.describe() for job in found]
    print_rows(
        ["id", "task", "state", "attempt", "updated_at", "next_at", "reason"],
        rows,
        as_json=as_json,
        empty="no job has failed, waits for a retry or is scheduled",
    )


@jobs.command()
@click.argument("job_id")
@click.option("--timeout", type=click.FloatRange(min=0), help="Seconds to wait; without it, as long as it takes.")
@json_option
@click.pass_obj
def wait(stack: Any, job_id: str, timeout: float | None, as_json: bool) -> None:
    """Wait until a job has ended; exits 1 unless it succeeded.

    A job may be waited for by its message's id right after it was sent: its record may take 30 s to appear.
    """
    finish(stack.client(), job_id, timeout, as_json=as_json)


@jobs.command()
@click.argument("job_id")
@json_option
@click.pass_obj
def cancel(stack: Any, job_id: str, as_json: bool) -> None:
    """Cancel a job: one that waits never starts, a running one is asked to stop, an ended one stays as it is."""
    client = stack.client()
    print_fields(described(client, client.cancel(job_id)), as_json=as_json)


@jobs.command()
@click.argument("job_id")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    default=RETRY_TIMEOUT,
    show_default=True,
    help="Seconds to look for a failed job's message in the dead-letter queue; it may be on its way there.",
)
@json_option
@click.pass_obj
def retry(stack: Any, job_id: str, timeout: float, as_json: bool) -> None:
    """Run a job again: one that failed, with fresh attempts, or one that waits for its next attempt, now.

    A failed job's message is brought back from the dead-letter queue and the job's history kept. A job in any other
    state is refused.
    """
    client = stack.client()
    print_fields(described(client, client.retry(job_id, timeout)), as_json=as_json)


def described(client: Client, job: Job) -> dict[str, Any]:
    """Return a job for printing, its result read in wherever it is kept."""
    import json

    shown = job.describe()
    if job.state is State.SUCCEEDED:
        try:
            shown["result"] = json.loads(client.result_text(job))
        except Exception as error:  # noqa: BLE001 - the record is worth showing although its result is gone
            shown["result_error"] = str(error)
    return shown


def finish(client: Client, job_id: str, timeout: float | None, *, as_json: bool, task: str | None = None) -> None:
    """Wait for a job with progress on stderr, print it, and exit 1 unless it succeeded.

    Args:
        client: The stack.
        job_id: The job's id.
        timeout: Seconds; None waits as long as it takes.
        as_json: Print JSON.
        task: The task it was accepted for; without it, a record must appear within `_APPEARS` seconds.
    """
    say, clock = progress_line(), client.clock
    begin = clock.now()
    while True:
        waited = (clock.now() - begin) / 1000
        left = None if timeout is None else timeout - waited
        pause = 0.3 if left is None else min(0.3, left)
        try:
            job = client.job(job_id, task)
        except UnknownJob:
            if waited >= _APPEARS or pause <= 0:
                raise
            say(f"{job_id} has no record yet")
            clock.sleep(pause)
            continue
        if job.state.terminal:
            break
        done = job.progress or {}
        share = f" {done['current']}/{done.get('total', '?')} {done.get('stage', '')}" if done else ""
        say(f"{job.id} {job.state} attempt {job.attempt}{share}")
        if pause <= 0:
            say("")
            raise ResultTimeout(f"job {job_id} is {job.state} after {timeout:g} s; it goes on")
        clock.sleep(pause)
    say("")
    print_fields(described(client, job), as_json=as_json)
    if job.state is not State.SUCCEEDED:
        sys.exit(1)
