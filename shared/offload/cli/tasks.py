"""`offload tasks`: the tasks of the project, or of the deployed stack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from offload.cli.arguments import argument_rows
from offload.cli.output import json_option, print_rows

if TYPE_CHECKING:
    from offload.core.manifest import Manifest


@click.command()
@click.option("--deployed", is_flag=True, help="List the tasks of the deployed stack, not those under functions/.")
@json_option
@click.pass_obj
def tasks(stack: Any, deployed: bool, as_json: bool) -> None:
    """List the tasks of this project with their settings; --json adds the schemas of payloads and results.

    With --deployed, there is a line for each argument of a task; --json has the whole schemas.
    """
    if deployed:
        _print_deployed(stack.client().manifest, as_json=as_json)
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


def _print_deployed(manifest: Manifest, *, as_json: bool) -> None:
    rows: list[dict[str, Any]] = []
    for name in sorted(manifest.tasks):
        row = {"task": name, "priorities": manifest.lanes(name)}
        schema = manifest.tasks[name].get("schema", {})
        if as_json:
            settings = {key: value for key, value in manifest.tasks[name].items() if key != "schema"}
            rows.append({**settings, **row, "payload_schema": schema})
        else:
            rows += [{**row, **argument} for argument in argument_rows(schema)] or [row]
    columns = ["task", "priorities", "argument", "takes", "default"]
    print_rows(columns, rows, as_json=as_json, empty="the stack has no tasks")
