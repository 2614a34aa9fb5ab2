"""`offload dlq`: list, show, redrive and purge dead letters."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from offload.cli.output import json_option, print_fields, print_rows, progress_line, say
from offload.core.clock import iso
from offload.core.enqueueing.bulk import counted
from offload.core.errors import UnknownJob

if TYPE_CHECKING:
    from offload.operate.dead_letters import DeadLetter


@click.group()
def dlq() -> None:
    """Look at dead-letter queues: the messages of failed jobs, and the reasons of the failures."""


@dlq.command(name="list")
@click.argument("task", required=False)
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="Most messages per task.")
@json_option
@click.pass_obj
def list_(stack: Any, task: str | None, limit: int, as_json: bool) -> None:
    """List dead letters with their reasons, of TASK or of all tasks."""
    from offload.operate.dead_letters import list_dead_letters

    client = stack.client()
    tasks = [task] if task else sorted(client.manifest.tasks)
    rows = [_row(dead_letter) for name in tasks for dead_letter in list_dead_letters(client, name, limit=limit)]
    columns = ["task", "lane", "job_id", "sent_at", "attempts", "fingerprint", "reason"]
    print_rows(columns, rows, as_json=as_json, empty="the dead-letter queues are empty")


@dlq.command()
@click.argument("task")
@click.argument("job_id")
@json_option
@click.pass_obj
def show(stack: Any, task: str, job_id: str, as_json: bool) -> None:
    """Show one dead letter of TASK: the message and the record of its job. JOB_ID may be the id of the message."""
    from offload.operate.dead_letters import find_dead_letter

    dead_letter = find_dead_letter(stack.client(), task, job_id)
    if dead_letter is None:
        raise UnknownJob(f"no dead letter of job or message {job_id!r} in the dead-letter queues of {task!r}")
    fields = _row(dead_letter) | {"body": _read_json(dead_letter.body)}
    if dead_letter.job is not None:
        fields["job"] = dead_letter.job.describe()
    print_fields(fields, as_json=as_json)


@dlq.command()
@click.argument("task")
@click.option("--id", "ids", multiple=True, help="Only the dead letter with this job id or message id; repeatable.")
@click.option("--fingerprint", help="Only dead letters with this error fingerprint; `dlq list` shows it.")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True, max=500), help="Most messages per second.")
@click.option("--dry-run", is_flag=True, help="Move nothing; only show what would be redriven.")
@json_option
@click.pass_obj
def redrive(
    stack: Any,
    /,
    task: str,
    ids: tuple[str, ...],
    fingerprint: str | None,
    rate: float | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Send dead letters of TASK back to their queues. Without options, send all of them.

    The jobs have all their attempts again and keep their history.
    """
    from offload.operate import redrive as operation

    show_progress = progress_line()
    result = operation.redrive(
        stack.client(),
        task,
        operation.Selection(ids, fingerprint),
        rate=rate,
        dry_run=dry_run,
        on_progress=lambda moved: show_progress(f"{moved} redriven"),
    )
    show_progress("")
    missing = sorted(set(ids) - {found_id for pair in result.moved for found_id in pair})
    if as_json:
        moved = [{"job_id": job_id, "message_id": message_id} for job_id, message_id in result.moved]
        fields = {"moved": moved, "kept": result.kept, "handed_over": result.handed_over, "missing": missing}
        print_fields({**fields, "dry_run": dry_run}, as_json=True)
    else:
        for queue in result.handed_over:
            say(f"SQS moves all messages of {queue} back, in the background")
        if result.moved or not result.handed_over:
            verb = "would be redriven" if dry_run else "redriven"
            say(f"{len(result.moved)} {verb}, {result.kept} left")
    if missing:
        raise UnknownJob(f"not in the dead-letter queues of {task!r}: {', '.join(missing)}")


@dlq.command()
@click.argument("task")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@click.pass_obj
def purge(stack: Any, task: str, yes: bool, as_json: bool) -> None:
    """Delete all dead letters of TASK for good, after a question."""
    from offload.operate import dead_letters
    from offload.operate.queues import list_queues

    client = stack.client()
    if not yes:
        count = sum(queue.dead for queue in list_queues(client, task))
        click.confirm(f"Delete {counted(count, 'dead letter')} of {task} for good?", abort=True, err=True)
    deleted = dead_letters.purge(client, task)
    if as_json:
        print_fields({"task": task, "purged": deleted}, as_json=True)
    else:
        say(f"{deleted} deleted")


def _row(dead_letter: DeadLetter) -> dict[str, Any]:
    return {
        "task": dead_letter.task,
        "lane": dead_letter.lane,
        "job_id": dead_letter.job_id,
        "message_id": dead_letter.message_id,
        "sent_at": iso(dead_letter.sent_at),
        "attempts": dead_letter.job.attempt if dead_letter.job else 0,
        "fingerprint": dead_letter.fingerprint,
        "reason": dead_letter.reason,
    }


def _read_json(text: str) -> Any:
    """Return the value of a JSON text; return any other text unchanged."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
