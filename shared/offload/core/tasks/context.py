"""`current_job()`: what a task can ask and say about the job it runs; and what is passed on to the jobs it enqueues."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec, Protocol, TypeVar

from offload.core.errors import OffloadError
from offload.core.tasks import inherited_job, worker_process
from offload.core.tasks.worker_process import NoJob

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

P = ParamSpec("P")
T = TypeVar("T")


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


_here: ContextVar[CurrentJob | NoJob | None] = ContextVar("offload_current_job", default=None)


def running_job() -> CurrentJob | None:
    """Return the job that is running, or None outside one.

    In a process that is a worker's, a thread belongs to the job that the process runs, or to the one that it is left
    over from. In any other process, a thread belongs to a job only where `carry` says so. A process that a job has
    started knows the job by `inherited_job`.
    """
    here = _here.get()
    if here is not None:
        return None if isinstance(here, NoJob) else here
    return worker_process.job_of_thread() if worker_process.is_one() else inherited_job.read()


def origin() -> Origin:
    """Return what a job takes over that is enqueued here.

    A chain of jobs never begins anew inside a worker: not in threads or in those that outlive their job, not in child
    processes, not in hooks, not while a module is imported.
    """
    job = running_job()
    if job is not None:
        return Origin(job.id, job.hops + 1, job.tenant)
    in_worker = _here.get() is not None or worker_process.is_one() or inherited_job.is_child_of_worker()
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
    """Make `job` the current one, here and in this process's children; returns the token for `leave`.

    In a process that is a worker's, it is the current one of all threads too.
    """
    if worker_process.is_one():
        return _here.set(job), worker_process.enter(job), job
    inherited_job.begin(job)
    return _here.set(job), None, job


def leave(token: Any) -> None:
    """Restore what was current before `enter`."""
    variable, of_process, job = token
    _here.reset(variable)
    if of_process is None:
        inherited_job.end(job)
    else:
        worker_process.leave(of_process)


def begin_worker() -> None:
    """Say that this process is a worker's: whatever it enqueues from now on belongs to a chain that has begun."""
    place = NoJob()
    _here.set(place)
    worker_process.begin(place)


@contextmanager
def worker() -> Iterator[None]:
    """Be a worker in the block, and outside any job."""
    place = NoJob()
    variable, is_process = _here.set(place), worker_process.is_one()
    before = worker_process.enter_outside_job(place) if is_process else None
    try:
        yield
    finally:
        _here.reset(variable)
        if is_process:
            worker_process.leave_outside_job(place, before)


def carry(function: Callable[P, T]) -> Callable[P, T]:
    """Return a function that another thread can call for what runs here: it belongs to the same job, or to none."""
    here = _here.get()

    def carried(*args: P.args, **kwargs: P.kwargs) -> T:
        variable = _here.set(here)
        try:
            return function(*args, **kwargs)
        finally:
            _here.reset(variable)

    return carried


@contextmanager
def set_aside() -> Iterator[None]:
    """Let the children of this process know no job in the block, in which another of the programs takes its turn."""
    job = _here.get()
    if job is None or isinstance(job, NoJob):
        yield
        return
    inherited_job.end(job)
    try:
        yield
    finally:
        inherited_job.begin(job)
