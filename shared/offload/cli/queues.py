"""`offload queues`: the numbers of messages in each queue."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from offload.cli.output import json_option, print_rows


@click.group()
def queues() -> None:
    """Look at the queues."""


@queues.command(name="list")
@click.argument("task", required=False)
@json_option
@click.pass_obj
def list_(stack: Any, task: str | None, as_json: bool) -> None:
    """List the queues of TASK or of all tasks: how many messages wait, are in flight, delayed or dead, roughly."""
    from offload.operate.queues import list_queues

    rows = [asdict(state) for state in list_queues(stack.client(), task)]
    columns = ["task", "lane", "queue", "waiting", "in_flight", "delayed", "dead"]
    print_rows(columns, rows, as_json=as_json, empty="the stack has no tasks")
