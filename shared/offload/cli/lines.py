"""`offload enqueue --from`: a job for each line of a file."""

from __future__ import annotations

import json
import sys
from array import array
from bisect import bisect_right
from codecs import BOM_UTF8
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from offload.cli.output import BROKEN_PIPE, drop_output, print_fields, say
from offload.core.enqueueing.bulk import BulkRequest, ClashingCall, IdPrefix, PartlyEnqueued, WrongCalls, counted
from offload.core.errors import PayloadError, Refused, Unavailable
from offload.core.ids import system_random

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from offload.client import Client
    from offload.core.enqueueing.bulk import JobHandles
    from offload.core.enqueueing.handle import JobHandle
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

    def request(self, client: Client, line: bytes) -> EnqueueRequest:
        """Return the request of a line.

        Raises:
            PayloadError: It is no JSON object, it lacks the payload, or the payload does not fit the task.
            DefinitionError: An option is wrong.
        """
        try:
            payload = json.loads(line.decode().rstrip("\r\n"))
        except UnicodeDecodeError as error:
            msg = f"not UTF-8: {error.reason} at byte {error.start + 1}; save the file as UTF-8"
            raise PayloadError(msg) from error
        except json.JSONDecodeError as error:
            raise PayloadError(f"not JSON: {error.msg}, at character {error.colno}") from error
        except (ValueError, RecursionError) as error:
            raise PayloadError(f"not JSON: {error}") from error
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
    def opened(self) -> Iterator[Iterable[bytes]]:
        """Open the file."""
        if self.source == "-":
            yield sys.stdin.buffer
            return
        try:
            file = Path(self.source).open("rb")  # noqa: SIM115 - what else is raised is not of the opening
        except OSError as error:
            raise PayloadError(f"--from {self.source}: {error.strerror}") from error
        with file:
            yield file


class _Numbers:
    """Which line each call stands in: blank lines are counted and make no call."""

    def __init__(self) -> None:
        # Where calls follow blank lines: the first such call, and the number of its line.
        self._calls, self._lines = array("Q"), array("Q")

    def filled(self, file: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the lines that are not blank, without a byte order mark."""
        index = 0
        for number, line in enumerate(file, 1):
            text = line.removeprefix(BOM_UTF8) if number == 1 else line
            if not text.strip():
                continue
            if number != self.line(index):
                self._calls.append(index)
                self._lines.append(number)
            yield text
            index += 1

    def line(self, index: int) -> int:
        """Return the number of a call's line, counted from 1 as editors do."""
        place = bisect_right(self._calls, index) - 1
        return index + 1 if place < 0 else self._lines[place] + index - self._calls[place]

    def told(self, errors: dict[int, OffloadError]) -> list[str]:
        """Return errors with their lines."""
        return [f"line {self.line(index)}: {self._text(error)}" for index, error in errors.items()]

    def _text(self, error: OffloadError) -> str:
        return error.with_other(f"line {self.line(error.other)}") if isinstance(error, ClashingCall) else str(error)


def enqueue_lines(client: Client, lines: Lines, id_prefix: str | None, *, as_json: bool) -> None:
    """Enqueue a job for each line, and print the ids or, as JSON, the sums.

    The id prefix is printed before the first job is sent. Whatever ends the command from then on, the way to go on is
    printed too.

    Raises:
        PayloadError: Some lines are wrong; names each. Nothing was sent. Or the ids or keys of some lines belong to
            other jobs; their lines are printed, and the others are enqueued.
        Unavailable: Some jobs are not known to be enqueued; their lines are printed.
    """
    way = _WayOn(str(IdPrefix.draw(system_random()) if id_prefix is None else IdPrefix.read(id_prefix)))
    numbers = _Numbers()
    try:
        with lines.opened() as file, _progress_bar() as bar:
            bulk = BulkRequest(
                lines.task,
                numbers.filled(file),
                lambda line: lines.request(client, line),
                way.prefix,
                partial(way.report, bar),
            )
            jobs = client.send_many(bulk)
        way.done = len(jobs)
        if not jobs:
            place = "stdin" if lines.source == "-" else lines.source
            say(f"0 jobs: {place} has no lines, or only blank ones", error=True)
        _print(lines.task, way.prefix, jobs, as_json=as_json)
    except WrongCalls as wrong:
        more = f"\n  and {wrong.count - len(wrong.errors)} more" if wrong.count > len(wrong.errors) else ""
        named = "".join(f"\n  {text}" for text in numbers.told(wrong.errors))
        are = "is" if wrong.count == 1 else "are"
        msg = f"{counted(wrong.count, 'line')} {are} wrong, so nothing was enqueued:{named}{more}"
        raise PayloadError(msg) from None
    except PartlyEnqueued as partly:
        say("\n".join(numbers.told(partly.failures)), error=True)
        if as_json:
            failures = [(numbers.line(index), error) for index, error in partly.failures.items()]
            _print_sum(lines.task, way.prefix, partly.handles, partly.failed, failures)
        way.show()
        # The error of the library counts calls, and here lines are counted.
        of_service = any(isinstance(error, Unavailable | Refused) for error in partly.failures.values())
        raise (Unavailable if of_service else PayloadError)(partly.summary) from partly
    except BrokenPipeError:
        way.show()
        drop_output()
        sys.exit(BROKEN_PIPE if way.done is None else 0)
    except BaseException:
        way.show()
        raise


class _WayOn:
    """How to go on when the command is stopped.

    Attributes:
        prefix: The id prefix.
        done: How many jobs are enqueued, once all are.
    """

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.done: int | None = None
        self._begun = False
        self._reached = self._total = 0

    def report(self, bar: Callable[[int, int], None] | None, done: int, total: int) -> None:
        """Take a report of the progress; the first one comes before anything is sent."""
        if total and not self._begun:
            say(f"id prefix: {self.prefix}", error=True)
            self._begun = True
        self._reached, self._total = done, total
        if bar is not None:
            bar(done, total)

    def show(self) -> None:
        """Say how many jobs are dealt with, and how to go on, if anybody still reads it."""
        with suppress(BrokenPipeError):
            self._show()

    def _show(self) -> None:
        again = f"the same command and --id-prefix {self.prefix}"
        if self.done is not None:
            are = "is" if self.done == 1 else "are"
            say(f"{counted(self.done, 'job')} {are} enqueued; print the ids with {again}", error=True)
        elif self._begun:
            say(
                f"{self._reached} of {counted(self._total, 'job')} {'is' if self._total == 1 else 'are'} dealt with; "
                f"enqueue what is missing with {again}",
                error=True,
            )
        else:
            say("nothing was enqueued", error=True)


def _print(task: str, prefix: str, jobs: JobHandles[JobHandle[Any]], *, as_json: bool) -> None:
    if as_json:
        _print_sum(task, prefix, jobs, 0, [])
    elif sys.stdout.isatty():
        if jobs:
            say(f"{counted(len(jobs), 'job')} {'is' if len(jobs) == 1 else 'are'} enqueued{_old(jobs)}")
    else:
        for job in jobs:
            say(job.id)
        old = _old(jobs)
        if old:
            say(f"{counted(len(jobs), 'job')}{old}", error=True)
    sys.stdout.flush()  # a reader that has gone is met here, not when Python ends


def _new(jobs: Iterable[JobHandle[Any] | None]) -> int:
    return sum(1 for job in jobs if job is not None and job.created)


def _old(jobs: JobHandles[JobHandle[Any]]) -> str:
    """Say how many jobs are new, where some were there already."""
    new = _new(jobs)
    return "" if new == len(jobs) else f", {new or 'none'} of them new: the others were there already"


def _print_sum(
    task: str,
    prefix: str,
    jobs: JobHandles[Any],
    failed: int,
    failures: list[tuple[int, OffloadError]],
) -> None:
    named = [{"line": line, "error": str(error)} for line, error in failures]
    enqueued = {"jobs": len(jobs), "enqueued": len(jobs) - failed, "new": _new(jobs), "failed": failed}
    print_fields({"task": task, "id_prefix": prefix, **enqueued, "failures": named}, as_json=True)


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
