"""`offload dlq`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from offload.cli.output import json_option, print_fields, print_rows, progress_line
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
    columns = ["task", "lane", "job_id", "sent_at", "attempts", "fingerprint", "reason"]
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


@dlq.command()
@click.argument("task")
@click.option("--id", "ids", multiple=True, help="Only this job's (or message's); may be given several times.")
@click.option("--fingerprint", help="Only errors of this kind, as `dlq list` shows it.")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True, max=500), help="Most messages a second.")
@click.option("--dry-run", is_flag=True, help="Only say what would be brought back.")
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
    """Bring dead letters of TASK back to their queues: fresh attempts, history kept. Without options, all of them."""
    from offload.operate.redriving import Selection
    from offload.operate.redriving import redrive as bring_back

    say = progress_line()
    selection = Selection(ids, fingerprint)
    done = bring_back(
        stack.client(), task, selection, rate=rate, dry_run=dry_run, tell=lambda moved: say(f"{moved} brought back")
    )
    say("")
    missing = sorted(set(ids) - {name for pair in done.moved for name in pair})
    if as_json:
        moved = [{"job_id": job_id, "message_id": message_id} for job_id, message_id in done.moved]
        shown = {"moved": moved, "kept": done.kept, "handed_over": done.handed_over, "missing": missing}
        print_fields({**shown, "dry_run": dry_run}, as_json=True)
    else:
        for queue in done.handed_over:
            click.echo(f"SQS moves all of {queue} back, in the background")
        if done.moved or not done.handed_over:
            verb = "would be brought back" if dry_run else "brought back"
            click.echo(f"{len(done.moved)} {verb}, {done.kept} left")
    if missing:
        raise UnknownJob(f"not in the dead-letter queues of {task!r}: {', '.join(missing)}")


@dlq.command()
@click.argument("task")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@click.pass_obj
def purge(stack: Any, task: str, yes: bool, as_json: bool) -> None:
    """Delete all dead letters of TASK for good. Asks first."""
    from offload.operate import dead_letters
    from offload.operate.queues import list_queues

    client = stack.client()
    if not yes:
        count = sum(queue.dead for queue in list_queues(client, task))
        click.confirm(f"Delete {count} dead letters of {task} for good?", abort=True, err=True)
    gone = dead_letters.purge(client, task)
    if as_json:
        print_fields({"task": task, "purged": gone}, as_json=True)
    else:
        click.echo(f"{gone} deleted")


def _row(letter: DeadLetter) -> dict[str, Any]:
    return {
        "task": letter.task,
        "lane": letter.lane,
        "job_id": letter.job_id,
        "message_id": letter.message_id,
        "sent_at": iso(letter.sent_at),
        "attempts": letter.job.attempt if letter.job else 0,
        "fingerprint": letter.fingerprint,
        "reason": letter.reason,
    }


def _body(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
