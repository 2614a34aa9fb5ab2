"""The job that a process was started by: an environment variable, which children inherit that are no forks.

A child is given the variable as it is at that moment, and so belongs to the job that has started it, for good. In the
worker the variable has one place, which is written over: a process never frees the memory of a variable's former value
(`setenv` of glibc), and a worker runs jobs for days.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from functools import cache
from typing import TYPE_CHECKING, Any

from offload.core.clock import SystemClock

if TYPE_CHECKING:
    import ctypes

    from offload.core.tasks.context import CurrentJob

VARIABLE = "OFFLOAD_JOB"
"""Set while a job runs. It says which process has set it, and counts in the children of that process alone."""

_HAS_PLACES = sys.platform == "linux"
"""Whether `putenv` of C keeps the place that it is given. Elsewhere former values stay in memory."""

_LEAST_SIZE = 2_048


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
    """Return what the variable says; None when it is not set."""
    return os.environ.get(VARIABLE)


def describe(job: CurrentJob | None) -> str:
    """Return the variable's value for a worker that runs a job, or none now."""
    if job is None:
        return json.dumps({"process": os.getpid(), "id": None})
    known = {name: getattr(job, name) for name in ("id", "task", "attempt", "tenant", "hops")}
    return json.dumps({"process": os.getpid(), "until": getattr(job, "until", None), **known})


_places: list[ctypes.Array[ctypes.c_char]] = []


def _write_over(entry: bytes) -> None:
    """Have the environment of C, which children inherit, say `NAME=value` at a place that is used again."""
    import ctypes  # only a process that runs jobs needs it

    if not _places or len(entry) >= len(_places[-1]):
        made = ctypes.create_string_buffer(max(_LEAST_SIZE, 2 * len(entry)))
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(made))  # C reads the environment until the process has ended
        _places.append(made)
    place = _places[-1]
    place.value = entry  # in one go: no other thread of Python starts a child meanwhile
    library = _library()
    name = VARIABLE.encode()
    # Whoever restores an environment, as tests do, gives the variable another place.
    if library.getenv(name) != ctypes.addressof(place) + len(name) + 1:
        library.putenv(place)


@cache
def _library() -> ctypes.PyDLL:
    import ctypes  # as above

    library = ctypes.PyDLL(None)
    library.getenv.restype = ctypes.c_void_p
    return library


def write(text: str | None) -> str | None:
    """Have the variable say a text of `describe`, or take it away; returns what it said before."""
    before = told()
    if text is None:
        os.environ.pop(VARIABLE, None)
    elif text != before:
        own = getattr(os.environ, "_data", None) if _HAS_PLACES else None
        if own is None:
            os.environ[VARIABLE] = text
        else:
            own[os.fsencode(VARIABLE)] = os.fsencode(text)  # what Python's copies are made of
            _write_over(os.fsencode(f"{VARIABLE}={text}"))
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
