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
@click.option("--task", help="Only this task's queues.")
@json_option
@click.pass_obj
def list_(stack: Any, task: str | None, as_json: bool) -> None:
    """List the queues with their approximate numbers of waiting, in-flight, delayed and dead messages."""
    from offload.operate.queues import list_queues

    rows = [asdict(state) for state in list_queues(stack.client(), task)]
    columns = ["task", "lane", "queue", "waiting", "in_flight", "delayed", "dead"]
    print_rows(columns, rows, as_json=as_json, empty="the stack has no tasks")
