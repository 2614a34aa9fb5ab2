"""`offload enqueue`: one job, or one for each line of a file."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from offload.cli.durations import duration
from offload.cli.jobs import wait_and_print
from offload.cli.lines import Lines, enqueue_lines
from offload.cli.output import json_option, print_fields, say
from offload.core.enqueueing.options import TRACKS
from offload.core.errors import PayloadError

_DURATIONS = ("delay", "expires", "key_window")
_ONE_JOB = ("payload", "id", "key", "wait", "timeout")
"""Options of a single job, which say nothing of many."""

_BYTE_ORDER_MARK = "\ufeff"


@click.command()
@click.argument("task")
@click.option("--payload", help="Arguments by name, as a JSON object; @FILE reads a file, - stdin. [default: {}]")
@click.option(
    "--from", "lines", metavar="FILE", help="Enqueue a job for each line: its payload as JSON; - reads stdin."
)
@click.option("--line-options", is_flag=True, help='With --from: a line is {"payload": {...}} with options beside it.')
@click.option(
    "--id-prefix", help="With --from: ids are PREFIX-0, PREFIX-1, ...; again, it enqueues only what is missing."
)
@click.option("--id", "id", help="The job's id. [default: a random id]")
@click.option("--delay", help="Time to wait before the job starts, such as 90s, 2h or 7d.")
@click.option("--eta", help="Time at which the job starts, such as 2027-01-31T09:00:00+01:00.")
@click.option("--priority", help="One of the task's lanes.")
@click.option("--key", help="Idempotency key. If a job has this key already, no new job is enqueued.")
@click.option("--key-window", help="How long the key names its job, such as 2h or 30d. [default: the task's setting]")
@click.option("--key-may-differ", is_flag=True, help="Take the job of the key also if its payload is another.")
@click.option("--tenant", help="Fairness group.")
@click.option("--expires", help="Time after which the job must not start any more; it then ends EXPIRED.")
@click.option("--track", type=click.Choice(TRACKS), help="Write the job's record now, or when it starts.")
@click.option("--wait", is_flag=True, help="Wait until the job has ended; the exit code is 1 unless it succeeded.")
@click.option("--timeout", type=duration, help="With --wait: how long, such as 90s.")
@json_option
@click.pass_obj
def enqueue(stack: Any, /, task: str, lines: str | None, as_json: bool, **given: Any) -> None:
    """Enqueue a job of TASK and print its id.

    With --from, enqueue a job for each line of a file. All lines are checked before a job is enqueued. Ids go to
    stdout, one a line, when it is no terminal. If it was interrupted, the same command with the --id-prefix that was
    printed enqueues what is missing.

    \b
    Example:
      offload enqueue send_email --payload '{"to": "a@b.example", "subject": "Hi", "body": "..."}' --wait
      offload enqueue send_email --from letters.jsonl
    """  # noqa: D301 - \b tells click to keep the lines that follow
    line_options, id_prefix = given.pop("line_options"), given.pop("id_prefix")
    if lines is not None:
        for name in _ONE_JOB:
            if given.pop(name):
                raise click.UsageError(f"--{name} is for one job, --from for many{_instead(name)}")
        entries = Lines(task, lines, _options(given), own=line_options)
        enqueue_lines(stack.client(), entries, id_prefix, as_json=as_json)
        return
    if line_options or id_prefix is not None:
        raise click.UsageError(f"--{'line-options' if line_options else 'id-prefix'} needs --from FILE")
    payload, wait, timeout = given.pop("payload"), given.pop("wait"), given.pop("timeout")
    arguments = _read_payload("{}" if payload is None else payload)
    client = stack.client()
    handle = client.enqueue(task, arguments, **_options(given))
    if as_json and not wait:
        print_fields({"id": handle.id, "task": task, "created": handle.created}, as_json=True)
    else:
        # The id comes first, so that whoever stops waiting has it. JSON stays one value.
        say(handle.id, error=as_json)
        sys.stdout.flush()
    if wait:
        wait_and_print(client, handle.id, timeout, as_json=as_json, task=task)


def _instead(name: str) -> str:
    if name in ("id", "key"):
        return f": give each line its own {name}, with --line-options"
    return ": each line has its own payload" if name == "payload" else ""


def _read_payload(text: str) -> dict[str, Any]:
    try:
        if text == "-":
            value = json.loads(sys.stdin.read().removeprefix(_BYTE_ORDER_MARK))
        elif text.startswith("@"):
            value = json.loads(Path(text[1:]).read_text(encoding="utf-8-sig"))
        else:
            value = json.loads(text)
    except OSError as error:
        raise PayloadError(f"--payload {text}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise PayloadError(f"--payload is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise PayloadError("--payload must be a JSON object with the task's arguments by name")
    return value


def _options(given: dict[str, Any]) -> dict[str, Any]:
    """Return the options that are set. A duration without a unit becomes a number of seconds."""
    options = {name: value for name, value in given.items() if value not in (None, False)}
    for name in _DURATIONS:
        if name in options and _is_number(options[name]):
            options[name] = float(options[name])
    return options


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
