"""`current_job()`: what a task can ask and say about the job it runs; and what is passed on to the jobs it enqueues."""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from weakref import WeakKeyDictionary

from offload.core.errors import OffloadError
from offload.core.tasks import inherited_job

if TYPE_CHECKING:
    from collections.abc import Iterator


class CurrentJob(Protocol):
    """The job that is running.

    Attributes:
        id: Its id; the natural idempotency key for whatever the task calls.
        attempt: 1 for the first run.
        task: The task's name.
        tenant: Its fairness group.
        hops: How many tasks stand between this job and the program that began the chain.
    """

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def task(self) -> str:
        """The task's name."""

    @property
    def attempt(self) -> int:
        """The number of this run."""

    @property
    def tenant(self) -> str | None:
        """Its fairness group."""

    @property
    def hops(self) -> int:
        """Tasks between it and the beginning of its chain."""

    def progress(self, current: float, total: float | None = None, *, stage: str | None = None) -> None:
        """Say how far the job is. Costs at most one write a second, however often it is called.

        Raises:
            LeaseLost: Another worker holds the job now; stop.
            ValueError: Something that the job's record cannot hold; names the argument.
        """

    @property
    def cancelled(self) -> bool:
        """True once a cancel was asked for; reads the record at most once a second."""

    @property
    def remaining(self) -> float:
        """Seconds until the soft limit."""


class Origin(NamedTuple):
    """What a job takes over from the place where it is enqueued.

    Attributes:
        parent: Id of the job that enqueues it, if any.
        hops: Tasks between it and the program that began the chain; 0 outside a worker alone.
        tenant: The parent's fairness group.
    """

    parent: str | None = None
    hops: int = 0
    tenant: str | None = None


class _NoJob:
    """A worker's own code, outside any job; `last` is the job that ran before."""

    last: CurrentJob | None = None


class _Process:
    """What this process does, for code that no context variable tells: that of threads, whoever has made them."""

    now: CurrentJob | _NoJob | None = None


class _LeftOver(NamedTuple):
    """The job that a thread was left over from; `serves_all` for the thread of a pool, which works for any job."""

    job: CurrentJob
    serves_all: bool


_here: ContextVar[CurrentJob | _NoJob | None] = ContextVar("offload_current_job", default=None)
_left_over: WeakKeyDictionary[threading.Thread, _LeftOver] = WeakKeyDictionary()


def running_job() -> CurrentJob | None:
    """Return the job that is running, or None outside one.

    In a thread it is the job that the process runs; a worker runs one at a time. A thread that goes on when its job has
    ended still belongs to that job. A process that a job has started knows the job by `inherited_job`.
    """
    here = _here.get()
    if here is not None:
        return None if isinstance(here, _NoJob) else here
    left_over = _left_over.get(threading.current_thread())
    now = _Process.now
    if left_over is not None and (not left_over.serves_all or now is None or isinstance(now, _NoJob)):
        return left_over.job
    if isinstance(now, _NoJob):
        return now.last  # only a job can have made the thread, or what has made it
    return inherited_job.read() if now is None else now


def origin() -> Origin:
    """Return what a job takes over that is enqueued here.

    A chain of jobs never begins anew inside a worker: not in threads or in those that outlive their job, not in child
    processes, not in hooks, not while a module is imported.
    """
    job = running_job()
    if job is not None:
        return Origin(job.id, job.hops + 1, job.tenant)
    in_worker = _here.get() is not None or _Process.now is not None or inherited_job.is_child_of_worker()
    return Origin(hops=int(in_worker))


class _PlainCall:
    """What a task sees when it is called as a plain function: a first attempt that nobody watches.

    It has no id, because a made-up id would be taken for an idempotency key.
    """

    attempt, tenant, hops = 1, None, 0
    cancelled = False
    remaining = float("inf")

    def progress(self, current: float, total: float | None = None, *, stage: str | None = None) -> None:
        """Tell nobody."""

    @property
    def id(self) -> str:
        """There is none.

        Raises:
            OffloadError: Always.
        """
        raise OffloadError("current_job().id is only there while a job runs, not in a plain call of the function")

    @property
    def task(self) -> str:
        """There is none.

        Raises:
            OffloadError: Always.
        """
        raise OffloadError("current_job().task is only there while a job runs, not in a plain call of the function")


_PLAIN_CALL = _PlainCall()


def current_job() -> CurrentJob:
    """Return the job that is running.

    In a plain call of the task's function, as in a unit test, there is no job. Then the object that is returned stands
    for a first attempt that is never cancelled and whose progress goes nowhere. Only its `id` and `task` are refused.
    """
    return running_job() or _PLAIN_CALL


def enter(job: CurrentJob) -> Any:
    """Make `job` the current one, here and in this process's threads and children; returns the token for `leave`."""
    others = frozenset(threading.enumerate()) if threading.active_count() > 1 else frozenset()
    token = _here.set(job), _Process.now, inherited_job.write(inherited_job.describe(job)), others
    _Process.now = job
    return token


def leave(token: Any) -> None:
    """Restore what was current before `enter`."""
    variable, before, environment, others = token
    job = _Process.now
    _here.reset(variable)
    _Process.now = before
    inherited_job.write(environment)
    if job is None or isinstance(job, _NoJob):
        return
    if isinstance(before, _NoJob):
        before.last = job
    if threading.active_count() > 1:
        _note_left_over(job, others)


def _note_left_over(job: CurrentJob, others: frozenset[threading.Thread]) -> None:
    futures = sys.modules.get("concurrent.futures.thread")
    pooled = set(futures._threads_queues) if futures else set()  # noqa: SLF001 - nothing else tells them
    for thread in set(threading.enumerate()) - {threading.current_thread()}:
        serves_all = thread in pooled or type(thread).__module__ == "multiprocessing.dummy"
        if serves_all or (thread not in others and thread not in _left_over):
            _left_over[thread] = _LeftOver(job, serves_all)


def begin_worker() -> None:
    """Say that this process is a worker: whatever it enqueues from now on belongs to a chain that has begun."""
    place = _NoJob()
    _here.set(place)
    _Process.now = place
    inherited_job.write(inherited_job.describe(None))


@contextmanager
def worker() -> Iterator[None]:
    """Be a worker in the block, and outside any job."""
    place, before = _NoJob(), _Process.now
    variable, _Process.now = _here.set(place), place
    try:
        yield
    finally:
        _here.reset(variable)
        _Process.now = before
        if isinstance(before, _NoJob):
            before.last = place.last or before.last


@contextmanager
def set_aside() -> Iterator[None]:
    """Let this process run no job in the block, in which another of the programs goes on that take turns in it."""
    before, _Process.now = _Process.now, None
    environment = inherited_job.write(None)
    try:
        yield
    finally:
        _Process.now = before
        inherited_job.write(environment)
