"""`offload enqueue --from`: a job for each line of a file."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from offload.cli.output import print_fields, say
from offload.core.enqueueing.bulk import BulkRequest, IdPrefix, PartlyEnqueued, WrongCalls
from offload.core.errors import PayloadError
from offload.core.ids import system_random

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from offload.client import Client
    from offload.core.enqueueing.request import EnqueueRequest
    from offload.core.errors import OffloadError

_STARTS = {"delay", "eta"}


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines of JSON, each for one job.

    Attributes:
        task: The task's name.
        source: The file; `-` for stdin.
        options: Options of every job.
        own: A line is an object with `payload` and options of its own, not the payload alone.
    """

    task: str
    source: str
    options: dict[str, Any]
    own: bool

    def request(self, client: Client, line: str) -> EnqueueRequest:
        """Return the request of a line.

        Raises:
            PayloadError: It is no JSON object, it lacks the payload, or the payload does not fit the task.
            DefinitionError: An option is wrong.
        """
        try:
            payload = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise PayloadError(f"not JSON: {error}" if line.strip() else "the line is empty") from error
        if not isinstance(payload, dict):
            raise PayloadError("not a JSON object with the task's arguments by name")
        if not self.own:
            return client.request(self.task, payload, **self.options)
        own, payload = payload, payload.pop("payload", None)
        if not isinstance(payload, dict):
            raise PayloadError('with --line-options a line is an object such as {"payload": {...}, "key": "order-42"}')
        shared = {
            name: value for name, value in self.options.items() if name not in _STARTS or not _STARTS & own.keys()
        }
        return client.request(self.task, payload, **{**shared, **own})

    @contextmanager
    def opened(self) -> Iterator[IO[str]]:
        """Open the file."""
        if self.source == "-":
            yield sys.stdin
            return
        try:
            file = Path(self.source).open(encoding="utf-8")  # noqa: SIM115 - what else is raised is not of the opening
        except OSError as error:
            raise PayloadError(f"--from {self.source}: {error.strerror}") from error
        with file:
            yield file


def enqueue_lines(client: Client, lines: Lines, id_prefix: str | None, *, as_json: bool) -> None:
    """Enqueue a job for each line, and print the ids or, as JSON, the sums.

    Raises:
        PayloadError: Some lines are wrong; names each. Nothing was sent.
        PartlyEnqueued: Some jobs are not known to be enqueued; their lines and the way on are printed.
    """
    prefix = str(IdPrefix.draw(system_random()) if id_prefix is None else IdPrefix.read(id_prefix))
    say(f"id prefix: {prefix}", error=True)
    try:
        with lines.opened() as file, _progress_bar() as report:
            bulk = BulkRequest(lines.task, file, lambda line: lines.request(client, line), prefix, report)
            jobs = client.send_many(bulk)
    except UnicodeDecodeError as error:
        raise PayloadError(f"--from {lines.source}: not UTF-8: {error.reason}") from error
    except WrongCalls as wrong:
        more = f"\n  and {wrong.count - len(wrong.errors)} more" if wrong.count > len(wrong.errors) else ""
        named = "".join(f"\n  {text}" for text in _by_line(wrong.errors))
        raise PayloadError(f"{wrong.count} lines are wrong, so nothing was enqueued:{named}{more}") from None
    except (PartlyEnqueued, KeyboardInterrupt) as stopped:
        if isinstance(stopped, PartlyEnqueued):
            say("\n".join(_by_line(stopped.failures)), error=True)
            if as_json:
                _print_sum(lines.task, prefix, len(stopped.handles), stopped.failed, stopped.failures)
        say(f"enqueue what is missing with the same command and --id-prefix {prefix}", error=True)
        raise
    if as_json:
        _print_sum(lines.task, prefix, len(jobs), 0, {})
    elif sys.stdout.isatty():
        say(f"{len(jobs)} jobs are enqueued")
    else:
        for job in jobs:
            say(job.id)


def _by_line(errors: dict[int, OffloadError]) -> list[str]:
    """Return errors with their lines, which are counted from 1."""
    return [f"line {index + 1}: {error}" for index, error in errors.items()]


def _print_sum(task: str, prefix: str, total: int, failed: int, failures: dict[int, OffloadError]) -> None:
    named = [{"line": index + 1, "error": str(error)} for index, error in failures.items()]
    fields = {"task": task, "id_prefix": prefix, "jobs": total, "enqueued": total - failed, "failed": failed}
    print_fields({**fields, "failures": named}, as_json=True)


@contextmanager
def _progress_bar() -> Iterator[Callable[[int, int], None] | None]:
    """Show a bar on stderr where that is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        jobs = bar.add_task("checking", total=None)

        def report(done: int, total: int) -> None:
            bar.update(jobs, completed=done, total=total, description="enqueueing")

        yield report
