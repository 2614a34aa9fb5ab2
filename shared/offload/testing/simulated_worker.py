"""The worker of a pipeline: the real worker without the real timer of its soft limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from offload.runtime.limits import SoftLimit
from offload.runtime.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator


class _NoLimit(SoftLimit):
    def pauses(self) -> Iterator[float]:
        return iter(())


class SimulatedWorker(Worker):
    """A worker under the virtual clock.

    The virtual clock raises the soft limit. The real timer would interrupt whichever green thread runs at that moment.
    """

    limit = _NoLimit

    def __init__(self, *args: Any, defects: list[Exception], **kwargs: Any) -> None:
        """Create a worker that adds its own defects to `defects`."""
        super().__init__(*args, **kwargs)
        self._defects = defects

    def report_defect(self, defect: Exception, message_id: str) -> None:
        """Keep the defect, so that the pipeline can raise it in the test."""
        super().report_defect(defect, message_id)
        self._defects.append(defect)
