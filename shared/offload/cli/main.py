"""`offload`: look at tasks, jobs, queues and dead letters of a deployed stack, and run a stack on this machine.

Exit codes: 0 done; 1 the job did not succeed; 2 bad input; 3 not found; 4 AWS (or the local engine) did not answer or
refused the request; 130 stopped by Ctrl-C; 141 the output was closed before the work was done.
"""

from __future__ import annotations

import io
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from offload.cli.dlq import dlq
from offload.cli.enqueue import enqueue
from offload.cli.jobs import jobs
from offload.cli.local import local
from offload.cli.output import BROKEN_PIPE, drop_output, say
from offload.cli.queues import queues
from offload.cli.tasks import tasks
from offload.core.enqueueing.bulk import PartlyEnqueued
from offload.core.errors import (
    DefinitionError,
    IdTaken,
    KeyReused,
    NoDeadLetter,
    OffloadError,
    PayloadError,
    Refused,
    ResultTimeout,
    Unavailable,
    UnknownJob,
    UnknownTask,
    WrongState,
)
from offload.core.manifest import DEFAULT_STACK

if TYPE_CHECKING:
    from collections.abc import Iterator

BAD_INPUT, NOT_FOUND, NO_SERVICE = 2, 3, 4
_EXIT_CODES: tuple[tuple[tuple[type[OffloadError], ...], int], ...] = (
    ((DefinitionError, IdTaken, KeyReused, PayloadError, WrongState), BAD_INPUT),
    ((UnknownJob, UnknownTask, NoDeadLetter), NOT_FOUND),
    ((Refused, Unavailable, PartlyEnqueued), NO_SERVICE),
    ((ResultTimeout,), 1),
)


class _Stack:
    """The stack of a command. It is connected on first use, so that `--help` and the local commands need no AWS."""

    def __init__(self, name: str) -> None:
        self.name = name

    def client(self) -> Any:
        from offload.client import Client  # loads the AWS SDK

        return Client.from_stack(self.name)


@contextmanager
def _reader_may_leave() -> Iterator[None]:
    """Let a reader that has enough of the output, as `head` has, end the command without an error on the screen."""
    try:
        yield
    except BrokenPipeError:
        drop_output()
        sys.exit(BROKEN_PIPE)


class _Program(click.Group):
    """The group of all commands."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Read the arguments; `--help` prints here."""
        with _reader_may_leave():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        with _reader_may_leave():
            return super().invoke(ctx)


@click.group(cls=_Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--stack", envvar="OFFLOAD_STACK", default=DEFAULT_STACK, show_default=True, help="Name of the stack.")
@click.version_option(package_name="offload", prog_name="offload")
@click.pass_context
def main(context: click.Context, stack: str) -> None:
    """Background tasks on AWS with nothing to keep running.

    Commands use your ordinary AWS credentials. AWS_ENDPOINT_URL selects another endpoint, such as the local engine:
    eval "$(offload local env)".

    Exit codes: 0 done, 1 the job did not succeed, 2 bad input, 3 not found, 4 AWS refused or did not answer, 130
    stopped, 141 the output was closed before the work was done.
    """
    context.obj = _Stack(stack)


for command in (tasks, enqueue, jobs, dlq, queues, local):
    main.add_command(command)


def run(arguments: list[str] | None = None) -> None:
    """Run the command line. Every error becomes one line on stderr and a non-zero exit code."""
    try:
        main.main(args=arguments, prog_name="offload", standalone_mode=False)
    except click.exceptions.Exit as exit_request:
        sys.exit(exit_request.exit_code)
    except click.Abort:
        say("stopped", error=True)
        sys.exit(130)
    except click.ClickException as usage_error:
        shown = io.StringIO()
        usage_error.show(shown)
        say(shown.getvalue().rstrip("\n"), error=True)
        sys.exit(usage_error.exit_code)
    except OffloadError as error:
        say(f"offload: {error}", error=True)
        sys.exit(next((code for classes, code in _EXIT_CODES if isinstance(error, classes)), 1))
