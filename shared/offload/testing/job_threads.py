"""Threads that a task starts in a test belong to its job, as they do in Lambda; all other threads belong to none.

In Lambda the whole process belongs to the job that it runs. The process of a test does other things too, so here the
job is handed on exactly where a thread gets its work: where it is started, and where a pool of threads is given a call.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import wraps
from multiprocessing.pool import ThreadPool
from typing import TYPE_CHECKING, Any

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


class _State:
    users = 0
    replaced: list[tuple[Any, str, Any, Any]] = []  # noqa: RUF012 - one for the process


_lock = threading.Lock()


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
        if _State.users:
            thread.run = context.carry(thread.run)
        start(thread)

    return start_in_job


def _taking_call(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def take_in_job(pool: Any, *args: Any, **kwargs: Any) -> Any:
        # Also where no job runs: the thread that will call it may have been started by one.
        if _State.users and args:
            args = (context.carry(args[0]), *args[1:])
        elif _State.users and "func" in kwargs:
            kwargs["func"] = context.carry(kwargs["func"])
        return method(pool, *args, **kwargs)

    return take_in_job
