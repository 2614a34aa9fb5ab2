"""`offload tasks` lists tasks; `offload enqueue` enqueues a job."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from offload.cli.jobs import wait_and_print
from offload.cli.output import json_option, print_fields, print_rows
from offload.core.errors import PayloadError


@click.command()
@click.option("--deployed", is_flag=True, help="List the tasks of the deployed stack, not those under functions/.")
@json_option
@click.pass_obj
def tasks(stack: Any, deployed: bool, as_json: bool) -> None:
    """List the tasks of this project with their settings; --json adds the schemas of payloads and results."""
    if deployed:
        manifest = stack.client().manifest
        rows = [{"task": name, "priorities": manifest.lanes(name)} for name in sorted(manifest.tasks)]
        print_rows(["task", "priorities"], rows, as_json=as_json, empty="the stack has no tasks")
        return
    from offload.core.tasks.registry import discover, find_root

    rows = []
    for name, task in discover(find_root()).items():
        doc_lines = (task.__doc__ or "").strip().splitlines()
        row: dict[str, Any] = {
            "task": name,
            "max_attempts": task.settings.retry.max_attempts,
            **task.settings.describe(),
            "summary": doc_lines[0] if doc_lines else "",
        }
        if as_json:
            row |= {"payload_schema": task.signature.schema(), "result_schema": task.signature.result_schema()}
        rows.append(row)
    columns = ["task", "max_attempts", "timeout", "batch_size", "max_concurrency", "priorities", "schedules", "summary"]
    print_rows(columns, rows, as_json=as_json, empty="no tasks: add functions/<name>/handler.py")


@click.command()
@click.argument("task")
@click.option("--payload", default="{}", help="Arguments by name, as a JSON object; @FILE reads a file, - stdin.")
@click.option("--id", "job_id", help="The job's id. [default: a random id]")
@click.option("--delay", help="Time to wait before the job starts, such as 90s, 2h or 7d.")
@click.option("--priority", help="One of the task's lanes.")
@click.option("--key", help="Idempotency key. If a job has this key already, no new job is enqueued.")
@click.option("--tenant", help="Fairness group.")
@click.option("--expires", help="Time after which the job must not start any more; it then ends EXPIRED.")
@click.option("--wait", is_flag=True, help="Wait until the job has ended; the exit code is 1 unless it succeeded.")
@click.option("--timeout", type=click.FloatRange(min=0), help="With --wait: seconds to wait.")
@json_option
@click.pass_obj
def enqueue(
    stack: Any,
    /,
    task: str,
    payload: str,
    job_id: str | None,
    wait: bool,
    timeout: float | None,
    as_json: bool,
    **options: str | None,
) -> None:
    """Enqueue a job of TASK and print its id.

    \b
    Example:
      offload enqueue send_email --payload '{"to": "a@b.example", "subject": "Hi", "body": "..."}' --wait
    """  # noqa: D301 - \b tells click to keep the lines that follow
    arguments = _read_payload(payload)
    client = stack.client()
    handle = client.enqueue(task, arguments, id=job_id, **_read_durations(options))
    if wait:
        wait_and_print(client, handle.id, timeout, as_json=as_json, task=task)
    elif as_json:
        print_fields({"id": handle.id, "task": task, "created": handle.created}, as_json=True)
    else:
        click.echo(handle.id)


def _read_payload(text: str) -> dict[str, Any]:
    try:
        if text == "-":
            value = json.load(sys.stdin)
        elif text.startswith("@"):
            value = json.loads(Path(text[1:]).read_text(encoding="utf-8"))
        else:
            value = json.loads(text)
    except OSError as error:
        raise PayloadError(f"--payload {text}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise PayloadError(f"--payload is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise PayloadError("--payload must be a JSON object with the task's arguments by name")
    return value


def _read_durations(options: dict[str, str | None]) -> dict[str, Any]:
    """Return the options that are set. A duration without a unit becomes a number of seconds."""
    read_options: dict[str, Any] = {}
    for name, value in options.items():
        if value is None:
            continue
        read_options[name] = float(value) if name in ("delay", "expires") and _is_number(value) else value
    return read_options


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
