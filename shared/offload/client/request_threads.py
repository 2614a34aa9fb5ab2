"""The few threads in which the short requests of `async` code are made."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeVar

from offload.client.forks import watch_forks

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future, ThreadPoolExecutor

T = TypeVar("T")

MOST_THREADS = 10
"""As many as boto3 keeps connections for."""


class RequestThreads:
    """Runs calls that block for one request, so that an event loop does not.

    They are not the threads of `asyncio.to_thread`: those belong to the program, and may all be busy.
    """

    def __init__(self) -> None:
        """Start nothing."""
        self.after_fork()
        watch_forks(self)

    def after_fork(self) -> None:
        """Begin without threads; see `forks`."""
        self._lock = threading.Lock()
        self._executor: ThreadPoolExecutor | None = None

    async def run(self, call: Callable[[], T]) -> T:
        """Run a call with the caller's context variables, and return or raise what it does."""
        import asyncio  # only async callers pay for these
        import contextvars

        context = contextvars.copy_context()
        return await asyncio.get_running_loop().run_in_executor(self._started(), lambda: context.run(call))

    def submit(self, call: Callable[[], T]) -> Future[T]:
        """Run a call for code that is in no event loop, and does not wait for it.

        Raises:
            RuntimeError: The interpreter is on its way out.
        """
        return self._started().submit(call)

    def _started(self) -> ThreadPoolExecutor:
        from concurrent.futures import ThreadPoolExecutor

        with self._lock:
            if self._executor is None:
                self._executor = ThreadPoolExecutor(MOST_THREADS, thread_name_prefix="offload-request")
            return self._executor
