"""Files that stand in for memory while many jobs are enqueued: the checked calls, and what became of each."""

from __future__ import annotations

import json
import tempfile
import threading
import weakref
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from offload.client.sender import Sent
from offload.core.durations import seconds
from offload.core.enqueueing.handle import JobHandle
from offload.core.enqueueing.options import CheckedOptions
from offload.core.errors import PayloadError, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import timedelta

    from offload.core.enqueueing.bulk import IdPrefix
    from offload.core.enqueueing.handle import JobService
    from offload.core.enqueueing.request import EnqueueRequest

_IN_MEMORY = 1_000_000
"""Bytes of calls that are kept in memory before the file is made."""

_LONGEST_ID = 128
_DURATIONS = ("delay", "expires", "key_window")


class Spooled(NamedTuple):
    """A request that waits to be sent.

    Attributes:
        request: The request.
        size: Bytes that it has on disk.
        repeats: The earlier request whose id or key it has; None when there is none.
    """

    request: EnqueueRequest
    size: int
    repeats: int | None


class Spool:
    """The requests of many jobs of one task, checked and waiting to be sent.

    Attributes:
        repeating: How many of them have the job of an earlier one.
    """

    def __init__(self) -> None:
        """Begin without requests."""
        self.repeating: int = 0
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - closed by `close`
        self._first: EnqueueRequest | None = None
        self._count = 0

    def __len__(self) -> int:
        """Return how many requests there are."""
        return self._count

    @property
    def first(self) -> EnqueueRequest | None:
        """The first request; what is true of all jobs of the task is read from it."""
        return self._first

    def add(self, request: EnqueueRequest, repeats: int | None = None) -> None:
        """Add a request.

        Args:
            request: The request.
            repeats: The earlier request whose job it is; None when it has a job of its own.

        Raises:
            PayloadError: The payload cannot be written as JSON.
            Refused: The disk is full.
        """
        if self._first is None:
            self._first = request
        own = None if request.options == self._first.options else _plain(request.options)
        try:
            line = json.dumps([request.payload, own, repeats], separators=(",", ":"), allow_nan=False).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise PayloadError(f"{request.task}: the payload cannot be written as JSON: {error}") from error
        with _disk():
            self._file.write(line + b"\n")
        self._count += 1
        self.repeating += repeats is not None

    def __iter__(self) -> Iterator[Spooled]:
        """Yield the requests in order."""
        first = self._first
        if first is None:
            return
        with _disk():
            self._file.seek(0)
        for line in self._file:
            payload, own, repeats = json.loads(line)
            options = first.options if own is None else CheckedOptions(**own)
            yield Spooled(first._replace(payload=payload, options=options), len(line), repeats)

    def close(self) -> None:
        """Delete the file."""
        self._file.close()


class Outcome(NamedTuple):
    """What became of a call.

    Attributes:
        failed: The job is not known to be enqueued.
        created: The job was not there before.
        job_id: The job's id, where it does not come from the prefix.
        own: It is no answer to a later call of the same key: the call failed for its own id or arguments, or has the
            key's job although its arguments may differ.
    """

    failed: bool = False
    created: bool = True
    job_id: str | None = None
    own: bool = False

    def decides(self, later: EnqueueRequest) -> bool:
        """Whether a later call of the same id or key has the same outcome, so that nothing more has to be asked."""
        return not self.own or (not self.failed and later.options.key_may_differ)


_USUAL = Outcome()


class Outcomes:
    """What became of each call, on disk, so that a handle can be made for any of them. Safe to share between threads.

    The usual outcome, a new job whose id comes from the prefix, takes no room.
    """

    def __init__(self) -> None:
        """Begin with the usual outcome for every call."""
        self._flags, self._ids = _Slots(1), _Slots(_LONGEST_ID)

    def put(self, index: int, outcome: Outcome) -> None:
        """Note what became of a call.

        Raises:
            Refused: The disk is full.
        """
        if outcome == _USUAL and not self._flags.used:
            return
        flags = outcome.failed | (not outcome.created) << 1 | (outcome.job_id is not None) << 2 | outcome.own << 3
        self._flags.write(index, bytes([flags]))
        if outcome.job_id is not None:
            self._ids.write(index, outcome.job_id.encode())

    def get(self, index: int) -> Outcome:
        """Return what became of a call."""
        flags = int.from_bytes(self._flags.read(index))
        job_id = self._ids.read(index).rstrip(b"\0").decode() if flags & 4 else None
        return Outcome(bool(flags & 1), not flags & 2, job_id, bool(flags & 8))


@dataclass(frozen=True, slots=True)
class SentHandles:
    """Makes the handle of any of the jobs; what is kept of them after they were sent."""

    task: str
    prefix: IdPrefix
    outcomes: Outcomes
    service: JobService
    read_result: Callable[[str], Any] | None

    def of(self, sent: Sent) -> JobHandle[Any]:
        """Return the handle of a job that was enqueued."""
        return JobHandle(sent.job_id, self.task, self.service, self.read_result, created=sent.created)

    def at(self, index: int) -> JobHandle[Any]:
        """Return the handle of a job by its place."""
        outcome = self.outcomes.get(index)
        return self.of(Sent(outcome.job_id or self.prefix.job_id(index), outcome.created))

    def found(self, index: int) -> JobHandle[Any] | None:
        """Return the handle of a job by its place; None where it failed."""
        return None if self.outcomes.get(index).failed else self.at(index)


class _Slots:
    """Texts of at most so many bytes by number, in a file that is made for the first of them."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._file: IO[bytes] | None = None

    @property
    def used(self) -> bool:
        return self._file is not None

    def write(self, index: int, text: bytes) -> None:
        with self._lock, _disk():
            if self._file is None:
                self._file = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the handles do
                weakref.finalize(self, self._file.close)
            self._file.seek(index * self._size)
            self._file.write(text.ljust(self._size, b"\0"))

    def read(self, index: int) -> bytes:
        with self._lock:
            if self._file is None:
                return b""
            self._file.seek(index * self._size)
            return self._file.read(self._size)


@contextmanager
def _disk() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        folder = tempfile.gettempdir()
        raise Refused(f"the calls cannot be kept in {folder}: {error}; set TMPDIR to a folder with room") from error


def _plain(options: CheckedOptions) -> dict[str, Any]:
    """Return the options that are set as JSON values, from which `CheckedOptions` makes the same."""
    given = options.given()
    for name in _DURATIONS:
        if name in given:
            duration: str | float | timedelta = given[name]
            given[name] = seconds(duration, field=name)
    if "eta" in given and not isinstance(given["eta"], str):
        given["eta"] = given["eta"].isoformat()
    return given
