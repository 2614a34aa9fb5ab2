"""`offload jobs`."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any

import click

from offload.cli.durations import duration
from offload.cli.output import json_option, print_fields, print_rows, progress_line, say
from offload.core.errors import ResultTimeout, UnknownJob
from offload.core.jobs.manual_retry import LOOK_FOR_SECONDS
from offload.core.jobs.state import State

if TYPE_CHECKING:
    from offload.client import Client
    from offload.core.jobs.job import Job

_RECORD_WITHIN = 30
"""Seconds that a job may be without a record. The worker writes the record of a message that another program sent, when
it first receives the message."""


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
    print_fields(_fields(client, client.job(job_id)), as_json=as_json)


@jobs.command(name="list")
@click.argument("task", required=False)
@click.option(
    "--state",
    type=click.Choice([state.value for state in State], case_sensitive=False),
    help="FAILED, RETRYING or SCHEDULED; other states are not indexed.",
)
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="Most jobs to list.")
@json_option
@click.pass_obj
def list_(stack: Any, task: str | None, state: str | None, limit: int, as_json: bool) -> None:
    """List the jobs of TASK or of all tasks that need attention, newest first: FAILED, RETRYING and SCHEDULED.

    A job that starts at once and succeeds is never in the index, which keeps it cheap: show it by its id.
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
@click.option("--timeout", type=duration, help="How long to wait, such as 90s; without it, as long as it takes.")
@json_option
@click.pass_obj
def wait(stack: Any, job_id: str, timeout: float | None, as_json: bool) -> None:
    """Wait until a job has ended; the exit code is 1 unless the job succeeded.

    A job that another program sent has the id of its message. Its record may appear up to 30 s later.
    """
    wait_and_print(stack.client(), job_id, timeout, as_json=as_json)


@jobs.command()
@click.argument("job_id")
@json_option
@click.pass_obj
def cancel(stack: Any, job_id: str, as_json: bool) -> None:
    """Cancel a job. A waiting job never starts, a running job is asked to stop, an ended job stays as it is."""
    client = stack.client()
    print_fields(_fields(client, client.cancel(job_id)), as_json=as_json)


@jobs.command()
@click.argument("job_id")
@click.option(
    "--timeout",
    type=duration,
    default=LOOK_FOR_SECONDS,
    show_default=True,
    help="How long to look for a failed job's message in the dead-letter queue, where it may arrive late.",
)
@json_option
@click.pass_obj
def retry(stack: Any, job_id: str, timeout: float, as_json: bool) -> None:
    """Run a failed job again, or start the next attempt of a waiting job now.

    A failed job has all its attempts again and keeps its history; its message is sent back from the dead-letter queue.
    A wait of up to 15 minutes cannot be cut: the attempt starts at its end. A job in any other state is refused.
    """
    client = stack.client()
    job = client.retry(job_id, timeout)
    print_fields(_fields(client, job), as_json=as_json)
    now = client.clock.now()
    if job.state is State.RETRYING and job.next_at is not None and job.next_at > now:
        seconds = math.ceil((job.next_at - now) / 1000)
        say(f"a wait of up to 15 minutes cannot be cut; the next attempt starts in {seconds} s at most", error=True)


def _fields(client: Client, job: Job) -> dict[str, Any]:
    """Return the fields of a job and, when it succeeded, its result, which may be stored apart from the record."""
    import json

    fields = job.describe()
    if job.state is State.SUCCEEDED:
        try:
            fields["result"] = json.loads(client.result_text(job))
        except Exception as error:  # noqa: BLE001 - the record is shown even when its result cannot be read
            fields["result_error"] = str(error)
    return fields


def wait_and_print(
    client: Client, job_id: str, timeout: float | None, *, as_json: bool, task: str | None = None
) -> None:
    """Wait for a job, show progress on stderr, print the job, and exit with 1 unless it succeeded.

    Args:
        client: The stack.
        job_id: The job's id.
        timeout: Seconds to wait; None for no limit.
        as_json: Print JSON.
        task: Task of a job that was just enqueued, whose record may be written later; None for a job whose record must
            appear within `_RECORD_WITHIN` seconds.
    """
    show_progress, clock = progress_line(), client.clock
    begin = clock.now()
    while True:
        waited = (clock.now() - begin) / 1000
        left = None if timeout is None else timeout - waited
        pause = 0.3 if left is None else min(0.3, left)
        try:
            job = client.job(job_id, task)
        except UnknownJob:
            if waited >= _RECORD_WITHIN or pause <= 0:
                raise
            show_progress(f"{job_id} has no record yet")
            clock.sleep(pause)
            continue
        if job.state.ended:
            break
        progress = job.progress or {}
        share = (
            f" {progress.get('current', '?')}/{progress.get('total', '?')} {progress.get('stage', '')}"
            if progress
            else ""
        )
        show_progress(f"{job.id} {job.state} attempt {job.attempt}{share}")
        if pause <= 0:
            show_progress("")
            raise ResultTimeout(f"job {job_id} is {job.state} after {timeout:g} s; it goes on")
        clock.sleep(pause)
    show_progress("")
    print_fields(_fields(client, job), as_json=as_json)
    if job.state is not State.SUCCEEDED:
        sys.exit(1)
