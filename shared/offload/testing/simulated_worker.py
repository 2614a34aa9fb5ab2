"""The worker of a pipeline: the real worker without the real timer of its soft limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from offload.runtime.limits import SoftLimit
from offload.runtime.worker import Worker
from offload.testing.processes import current_process

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable


class _VirtualLimit(SoftLimit):
    """The soft limit of a run of a simulated process.

    What waits in virtual time meets the limit there: an ordinary function when it sleeps or makes a request, a
    coroutine in the event loop too. Both count what came in `Process.limits_raised`.
    """

    has_signals = False

    def __init__(self, soft: float, hard: float) -> None:
        self._process = current_process.get()
        super().__init__(soft, hard)

    @property
    def raised(self) -> int:
        return 0 if self._process is None else self._process.limits_raised

    @raised.setter
    def raised(self, value: int) -> None:
        if self._process is not None:
            self._process.limits_raised = value

    def pause(self, number: int) -> float | None:
        is_limited = self._process is not None and self._process.deadline is not None
        return super().pause(number) if is_limited else None

    def next_error(
        self, first: Callable[[str], BaseException], further: Callable[[str], BaseException]
    ) -> BaseException:
        if self._process is not None:
            self._process.soft_limit_at = None
        return super().next_error(first, further)

    def loop_factory(self) -> AbstractEventLoop:
        import asyncio  # only asynchronous tasks need it

        from offload.testing.event_loop import VirtualLoop

        return asyncio.new_event_loop() if self._process is None else VirtualLoop(self._process)


class SimulatedWorker(Worker):
    """A worker under the virtual clock.

    The virtual clock raises the soft limit. The real timer would interrupt whichever green thread runs at that moment.
    """

    limit = _VirtualLimit

    def __init__(self, *args: Any, defects: list[Exception], **kwargs: Any) -> None:
        """Create a worker that adds its own defects to `defects`."""
        super().__init__(*args, **kwargs)
        self._defects = defects

    def report_defect(self, defect: Exception, message_id: str) -> None:
        """Keep the defect, so that the pipeline can raise it in the test."""
        super().report_defect(defect, message_id)
        self._defects.append(defect)
