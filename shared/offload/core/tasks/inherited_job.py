"""The job that a process was started by: an environment variable, which children inherit that are no forks.

The variable names a file in memory, whose text changes with each job. The variable itself stays: a process never frees
the memory of a variable's former value (`setenv` of glibc), and a worker runs jobs for days.
"""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from offload.core.clock import SystemClock

if TYPE_CHECKING:
    from offload.core.tasks.context import CurrentJob

VARIABLE = "OFFLOAD_JOB"
"""Set while a job runs. It says which process has set it, and counts in the children of that process alone."""

_HAS_FILES_IN_MEMORY = hasattr(os, "memfd_create")


class InheritedJob:
    """A job as a child process of its worker knows it.

    The child knows which job it belongs to, and how much time the job has. It neither speaks for the job nor hears of a
    cancel, since it has no connection to the job table.
    """

    cancelled = False

    def __init__(self, known: dict[str, Any]) -> None:
        """Take what the variable says."""
        self.id: str = known["id"]
        self.task: str = known["task"]
        self.attempt: int = known["attempt"]
        self.tenant: str | None = known["tenant"]
        self.hops: int = known["hops"]
        self._until: float | None = known["until"]

    @property
    def remaining(self) -> float:
        """Seconds until the soft limit."""
        if self._until is None:
            return float("inf")
        return max(0.0, (self._until - SystemClock().now()) / 1000)

    def progress(self, current: float, total: float | None = None, *, stage: str | None = None) -> None:
        """Tell nobody."""


def read() -> InheritedJob | None:
    """Return the job by which this process was started; None when no job has started it."""
    known = _known()
    try:
        return InheritedJob(known) if known and known["id"] is not None else None
    except KeyError:
        return None  # not this library's: no reason to fail whoever asks


def is_child_of_worker() -> bool:
    """Tell whether a worker has started this process, in a job or outside one."""
    return _known() is not None


def _known() -> dict[str, Any] | None:
    text = told()
    if text is None:
        return None
    try:
        known = json.loads(text)
    except ValueError:
        return None
    return known if isinstance(known, dict) and known.get("process") != os.getpid() else None


def told() -> str | None:
    """Return what the variable says, or the text of the file that it names; None when there is neither."""
    value = os.environ.get(VARIABLE)
    if value is None or not value.startswith("/"):
        return value
    try:
        return Path(value).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None  # its process is gone


def describe(job: CurrentJob | None) -> str:
    """Return the variable's value for a worker that runs a job, or none now."""
    if job is None:
        return json.dumps({"process": os.getpid(), "id": None})
    known = {name: getattr(job, name) for name in ("id", "task", "attempt", "tenant", "hops")}
    return json.dumps({"process": os.getpid(), "until": getattr(job, "until", None), **known})


class _File(NamedTuple):
    """A file in this process's memory; its children read it by its path."""

    process: int
    number: int

    @property
    def path(self) -> str:
        return f"/proc/{self.process}/fd/{self.number}"

    def write(self, text: str) -> None:
        data = text.encode()
        os.pwrite(self.number, data, 0)
        os.ftruncate(self.number, len(data))


_files: list[_File] = []


def _file() -> _File:
    if not _files or _files[0].process != os.getpid():  # a forked child has a file of its own
        _files[:] = [_File(os.getpid(), os.memfd_create("offload-job"))]
    return _files[0]


def write(text: str | None) -> str | None:
    """Have the variable say a text of `describe`, or take it away; returns what it said before."""
    value = os.environ.get(VARIABLE)
    before = told() if _files and value == _files[0].path else value
    if text is not None and text.startswith("{") and _HAS_FILES_IN_MEMORY:
        file = _file()
        file.write(text)
        text = file.path
    if text is None:
        os.environ.pop(VARIABLE, None)
    elif text != value:
        os.environ[VARIABLE] = text
    return before


class _Running:
    """The jobs that run in a process that is no worker's: a test may run several, one within another or in threads.

    The variable is one for the whole process, so it names the job that began last.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.jobs: list[CurrentJob] = []
        self.before: str | None = None

    def tell(self) -> None:
        write(describe(self.jobs[-1]) if self.jobs else self.before)


_running = _Running()
if hasattr(os, "register_at_fork"):  # a thread of the parent may hold the lock
    os.register_at_fork(after_in_child=lambda: setattr(_running, "lock", threading.Lock()))


def begin(job: CurrentJob) -> None:
    """Have the variable name a job that begins in a process that is no worker's."""
    with _running.lock:
        if not _running.jobs:
            _running.before = write(None)
        _running.jobs.append(job)
        _running.tell()


def end(job: CurrentJob) -> None:
    """Have the variable name a job that still runs; without one, have it say what it said before."""
    with _running.lock:
        latest = max(index for index, each in enumerate(_running.jobs) if each is job)
        del _running.jobs[latest]
        _running.tell()
