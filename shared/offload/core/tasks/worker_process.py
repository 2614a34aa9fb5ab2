"""The job that a worker's process runs, for code that no context variable tells: that of threads, whoever made them.

A process that Lambda runs a worker in runs one job at a time, so whatever goes on in it belongs to that job or to the
one before. Any other process (a web server, a test) may do much beside a job. There a job is known by context variables
alone, and nothing of this module applies.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

from offload.core.tasks import inherited_job

if TYPE_CHECKING:
    from offload.core.tasks.context import CurrentJob


class NoJob:
    """A worker's own code, outside any job; `last` is the job that ran before."""

    last: CurrentJob | None = None


class _Process:
    """What this process does; None where it is no worker's."""

    now: CurrentJob | NoJob | None = None


class _LeftOver(NamedTuple):
    """The job that a thread was left over from; `serves_all` for the thread of a pool, which works for any job."""

    job: CurrentJob
    serves_all: bool


class Token(NamedTuple):
    """What was so before a job was entered."""

    now: CurrentJob | NoJob | None
    variable: str | None
    threads: frozenset[threading.Thread]


_left_over: WeakKeyDictionary[threading.Thread, _LeftOver] = WeakKeyDictionary()


def is_one() -> bool:
    """Tell whether this process is a worker's."""
    return _Process.now is not None


def begin(place: NoJob) -> None:
    """Make this process a worker's, for good."""
    _Process.now = place
    inherited_job.write(inherited_job.describe(None))


def job_of_thread() -> CurrentJob | None:
    """Return the job that this thread belongs to: the one it is left over from, else the one that the process runs."""
    left_over = _left_over.get(threading.current_thread())
    now = _Process.now
    if left_over is not None and (not left_over.serves_all or now is None or isinstance(now, NoJob)):
        return left_over.job
    return now.last if isinstance(now, NoJob) else now  # only a job can have made the thread, or what has made it


def enter(job: CurrentJob) -> Token:
    """Make `job` the one that this process runs; returns the token for `leave`."""
    others = frozenset(threading.enumerate()) if threading.active_count() > 1 else frozenset()
    token = Token(_Process.now, inherited_job.write(inherited_job.describe(job)), others)
    _Process.now = job
    return token


def leave(token: Token) -> None:
    """Restore what was so before `enter`."""
    job = _Process.now
    _Process.now = token.now
    inherited_job.write(token.variable)
    if job is None or isinstance(job, NoJob):
        return
    if isinstance(token.now, NoJob):
        token.now.last = job
    if threading.active_count() > 1:
        _note_left_over(job, token.threads)


def enter_outside_job(place: NoJob) -> Any:
    """Let this process run no job; returns what was so before."""
    before, _Process.now = _Process.now, place
    return before


def leave_outside_job(place: NoJob, before: Any) -> None:
    """Restore what was so before `enter_outside_job`."""
    _Process.now = before
    if isinstance(before, NoJob):
        before.last = place.last or before.last


def _note_left_over(job: CurrentJob, others: frozenset[threading.Thread]) -> None:
    futures = sys.modules.get("concurrent.futures.thread")
    pooled = set(futures._threads_queues) if futures else set()  # noqa: SLF001 - nothing else tells them
    for thread in set(threading.enumerate()) - {threading.current_thread()}:
        serves_all = thread in pooled or type(thread).__module__ == "multiprocessing.dummy"
        if serves_all or (thread not in others and thread not in _left_over):
            _left_over[thread] = _LeftOver(job, serves_all)
