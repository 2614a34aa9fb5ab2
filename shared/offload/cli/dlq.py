"""`offload dlq`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from offload.cli.output import json_option, print_fields, print_rows
from offload.core.clock import iso
from offload.core.errors import UnknownJob

if TYPE_CHECKING:
    from offload.operate.dead_letters import DeadLetter


@click.group()
def dlq() -> None:
    """Look at dead-letter queues: failed jobs' messages, and why they are there."""


@dlq.command(name="list")
@click.argument("task", required=False)
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="Most messages a task.")
@json_option
@click.pass_obj
def list_(stack: Any, task: str | None, limit: int, as_json: bool) -> None:
    """List dead letters with their reasons, of TASK or of all tasks."""
    from offload.operate.dead_letters import list_dead_letters

    client = stack.client()
    tasks = [task] if task else sorted(client.manifest.tasks)
    rows = [_row(letter) for name in tasks for letter in list_dead_letters(client, name, limit=limit)]
    columns = ["task", "lane", "job_id", "sent_at", "attempts", "reason"]
    print_rows(columns, rows, as_json=as_json, empty="the dead-letter queues are empty")


@dlq.command()
@click.argument("task")
@click.argument("job_id")
@json_option
@click.pass_obj
def show(stack: Any, task: str, job_id: str, as_json: bool) -> None:
    """Show one dead letter of TASK, by its job's or message's id: the message and the job's record."""
    from offload.operate.dead_letters import find_dead_letter

    letter = find_dead_letter(stack.client(), task, job_id)
    if letter is None:
        raise UnknownJob(f"no dead letter of job or message {job_id!r} in the dead-letter queues of {task!r}")
    shown = _row(letter) | {"body": _body(letter.body)}
    if letter.job is not None:
        shown["job"] = letter.job.describe()
    print_fields(shown, as_json=as_json)


def _row(letter: DeadLetter) -> dict[str, Any]:
    return {
        "task": letter.task,
        "lane": letter.lane,
        "job_id": letter.job_id,
        "message_id": letter.message_id,
        "sent_at": iso(letter.sent_at),
        "attempts": letter.job.attempt if letter.job else 0,
        "reason": letter.reason,
    }


def _body(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
