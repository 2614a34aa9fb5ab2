"""Threads that a task starts in a test belong to its job, as they do in Lambda; all other threads belong to none.

In Lambda the whole process belongs to the job that it runs. The process of a test does other things too, so here the
job is handed on exactly where a thread gets its work: where it is started, and where a pool of threads is given a call.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from multiprocessing.pool import ThreadPool
from typing import TYPE_CHECKING, Any, NamedTuple

from offload.core.tasks import context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_TAKING_CALLS: tuple[tuple[Any, str], ...] = (
    (ThreadPoolExecutor, "submit"),
    (ThreadPool, "apply_async"),
    (ThreadPool, "_map_async"),
    (ThreadPool, "imap"),
    (ThreadPool, "imap_unordered"),
)
"""Methods that are given a function, as their first argument, which a thread of a pool calls."""


class _Work(NamedTuple):
    """What a job has another thread do."""

    job: context.CurrentJob
    is_done: Callable[[], bool]


class _State:
    users = 0
    work: list[_Work] = []  # noqa: RUF012 - one for the process
    replaced: list[tuple[Any, str, Any, Any]] = []  # noqa: RUF012 - one for the process


_lock = threading.Lock()
_pool: ContextVar[Any] = ContextVar("offload_pool", default=None)
"""The pool that starts threads now: these wait for work when they have none."""


@contextmanager
def threads_know_their_jobs() -> Iterator[None]:
    """Hand jobs on to threads in the block; blocks may overlap."""
    with _lock:
        _State.users += 1
        if _State.users == 1:
            _replace()
    try:
        yield
    finally:
        with _lock:
            _State.users -= 1
            if _State.users == 0:
                _restore()


def _replace() -> None:
    wrapped = [(threading.Thread, "start", _starting(threading.Thread.start))]
    wrapped += [(owner, name, _taking_call(getattr(owner, name))) for owner, name in _TAKING_CALLS]
    for owner, name, method in wrapped:
        _State.replaced.append((owner, name, owner.__dict__.get(name), method))
        setattr(owner, name, method)


def _restore() -> None:
    for owner, name, before, method in _State.replaced:
        if owner.__dict__.get(name) is not method:
            continue  # another program has wrapped it meanwhile; without a user, ours does nothing
        if before is None:
            delattr(owner, name)  # it is inherited
        else:
            setattr(owner, name, before)
    _State.replaced.clear()


def _starting(start: Callable[[Any], None]) -> Callable[[Any], None]:
    @wraps(start)
    def start_in_job(thread: Any) -> None:
        if not _State.users:
            start(thread)
            return
        thread.run = context.carry(thread.run)
        start(thread)
        if not isinstance(_pool.get(), ThreadPoolExecutor):
            _note_work(lambda: not thread.is_alive())

    return start_in_job


def _note_work(is_done: Callable[[], bool]) -> None:
    job = context.running_job()
    if job is not None:
        with _lock:
            _State.work.append(_Work(job, is_done))


def are_at_work() -> bool:
    """Tell whether a thread does something for the job that runs here, as far as the job has handed it on."""
    job = context.running_job()
    with _lock:
        _State.work[:] = [each for each in _State.work if not each.is_done()]
        return any(each.job is job for each in _State.work)


def _taking_call(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def take_in_job(pool: Any, *args: Any, **kwargs: Any) -> Any:
        # Also where no job runs: the thread that will call it may have been started by one.
        if _State.users and args:
            args = (context.carry(args[0]), *args[1:])
        elif _State.users and "func" in kwargs:
            kwargs["func"] = context.carry(kwargs["func"])
        token = _pool.set(pool)
        try:
            answer = method(pool, *args, **kwargs)
        finally:
            _pool.reset(token)
        if _State.users and isinstance(answer, Future):
            _note_work(answer.done)
        return answer

    return take_in_job
