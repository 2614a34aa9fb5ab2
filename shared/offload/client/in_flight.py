"""A few requests at once: threads that carry them out, and one thread that meets their outcomes in order."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from types import TracebackType

T = TypeVar("T")

MOST_AT_ONCE = 6
"""Requests in flight. Beyond that the processor is the limit: a request of ten jobs takes it a fifth of its way."""


class InFlight:
    """Carries out requests, at most so many at once. Without threads each request is done when it is handed over.

    The thread that hands over the requests is told their outcomes too, so only the requests themselves run elsewhere.
    What a request raises is raised there, and then nothing more is begun.
    """

    def __init__(self, threads: int) -> None:
        """Begin with no requests."""
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="offload-bulk") if threads else None
        self._most = threads
        self._waiting: deque[tuple[Future[Any], Callable[[Any], None]]] = deque()

    def __enter__(self) -> Self:
        """Use it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for the requests that have begun, and begin no other."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def start(self, request: Callable[[], T], settle: Callable[[T], None]) -> None:
        """Carry out a request; `settle` is called with its outcome, now or later, in this thread."""
        if self._pool is None:
            settle(request())
            return
        while len(self._waiting) >= self._most:
            self._settle_oldest()
        # The threads see the job that is running here, if any.
        self._waiting.append((self._pool.submit(copy_context().run, request), settle))

    def finish(self) -> None:
        """Wait for all requests, also for those that `settle` starts."""
        while self._waiting:
            self._settle_oldest()

    def _settle_oldest(self) -> None:
        future, settle = self._waiting.popleft()
        settle(future.result())
