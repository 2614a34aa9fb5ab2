"""`offload local`: this very app on a laptop, with no AWS account."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from offload.cli.output import print_json, say
from offload.core.durations import seconds
from offload.core.errors import OffloadError
from offload.local import deploy as deployment
from offload.local import environment, processes, tools
from offload.local.engine import Engine
from offload.local.layout import Layout
from offload.local.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator

NOT_RUNNING = 3
"""Exit status of `status` and `env` when no engine runs."""

_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
_state_dir = click.option(
    "--state-dir",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="OFFLOAD_LOCAL_DIR",
    help="Where the engine keeps its files. [default: .offload/local in the project]",
)


@click.group()
def local() -> None:
    """Run this app on an embedded AWS engine, on loopback, with no AWS account."""


@local.command()
@_json
@_state_dir
@click.option(
    "--port", type=click.IntRange(1, 65535), help="Listen on this port. [default: the last one, or a free one]"
)
@click.option("--stack", help=f"The stack's name. [default: the one deployed last, or {deployment.STACK}]")
@click.option("--deploy/--no-deploy", "deploys", default=True, help="Deploy the app once the engine is up.")
def up(*, port: int | None, stack: str | None, state_dir: Path | None, deploys: bool, as_json: bool) -> None:
    """Start the engine and deploy the app to it. Run again, it only deploys again.

    The engine keeps running in the background until `offload local down`. An `up` that fails or is interrupted leaves
    no engine it started itself.
    """
    with _speaking_plainly(), processes.ending_cleanly():
        engine = _engine(state_dir)
        if deploys:
            tools.check_node()
        with processes.holding(engine.layout.lock):
            started = engine.start(port)
            try:
                if deploys:
                    known = engine.record
                    name = stack or (known and known.stack) or deployment.STACK
                    deployment.deploy(engine, stack=name)
            except BaseException:
                if started:
                    engine.stop()
                raise
        shown = _describe(engine)
        if as_json:
            print_json(shown)
        else:
            say(f"The engine is up at {shown['endpoint']}, stack {shown['stack'] or '(none)'}.")
            say('Point any AWS program at it with:  eval "$(offload local env)"')


@local.command()
@_json
@_state_dir
@click.option("--delete", is_flag=True, help="Also remove everything it keeps: queues, jobs, objects.")
def down(*, state_dir: Path | None, delete: bool, as_json: bool) -> None:
    """Stop the engine and everything it runs. Its state is kept for the next `up`."""
    with _speaking_plainly(), processes.ending_cleanly():
        engine = _engine(state_dir)
        with processes.holding(engine.layout.lock):
            stopped = engine.stop()
            if delete:
                engine.delete()
    if as_json:
        print_json({"stopped": stopped, "deleted": delete})
    else:
        say(("Stopped." if stopped else "No engine was running.") + (" State removed." if delete else ""))


@local.command()
@_json
@_state_dir
def status(*, state_dir: Path | None, as_json: bool) -> None:
    """Tell whether the engine runs, where, and whether the app is deployed. Exits with 3 when no engine runs."""
    with _speaking_plainly():
        shown = _describe(_engine(state_dir))
    if as_json:
        print_json(shown)
    elif shown["running"]:
        for name, value in shown.items():
            say(f"{name:<10} {value}")
    else:
        say("No local engine is running: start one with `offload local up`.")
    if not shown["running"]:
        raise SystemExit(NOT_RUNNING)


@local.command()
@_json
@_state_dir
@click.option("--timeout", default="10m", show_default=True, help="Give up after this time, such as 90s or 10m.")
def wait(*, timeout: str, state_dir: Path | None, as_json: bool) -> None:
    """Wait until the app is deployed, for scripts that start `offload local up` in the background.

    It also waits for an engine that does not run yet, and while the app is deployed again.
    """
    with _speaking_plainly():
        engine = _engine(state_dir)
        engine.await_deployed(seconds(timeout, field="timeout"))
        shown = _describe(engine)
    if as_json:
        print_json(shown)
    else:
        say(f"Stack {shown['stack']} is deployed at {shown['endpoint']}.")


@local.command()
@_json
@_state_dir
def env(*, state_dir: Path | None, as_json: bool) -> None:
    """Print what points AWS programs at the engine: eval "$(offload local env)"."""
    with _speaking_plainly(NOT_RUNNING):
        variables = _engine(state_dir).env()
    if as_json:
        print_json(variables)
    else:
        click.echo(environment.as_shell(variables, environment.interfering()))


def _engine(state_dir: Path | None) -> Engine:
    return Engine(Layout.find(state=state_dir), progress=Progress())


def _describe(engine: Engine) -> dict[str, Any]:
    known, runs = engine.record, engine.is_running()
    return {
        "running": runs,
        "healthy": engine.is_healthy(),
        "deployed": engine.is_deployed(),
        "endpoint": engine.endpoint if runs else None,
        "region": environment.REGION,
        "stack": known.stack if known else None,
        "pid": known.pid if known and runs else None,
        "port": known.port if known and runs else None,
        "since": known.since if known and runs else None,
        "state_dir": str(engine.layout.state),
        "log": str(engine.layout.log),
    }


@contextlib.contextmanager
def _speaking_plainly(status: int = 1) -> Iterator[None]:
    """Print what went wrong as one clear line, without a traceback, and exit with `status`."""
    try:
        yield
    except OffloadError as error:
        say(f"Error: {error}", error=True)
        raise SystemExit(status) from error
