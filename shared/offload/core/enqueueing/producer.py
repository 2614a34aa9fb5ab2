"""The producer in force: where `.delay()` sends a job.

A task's module loads no SDK, so the task asks here for its producer: the client that was set by `use`, inside a
function the worker's own, else one that is built from the environment on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from offload.core.enqueueing.handle import JobService
from offload.core.enqueueing.options import CheckedOptions, EnqueueOptions
from offload.core.enqueueing.request import EnqueueRequest
from offload.core.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from typing_extensions import Unpack

    from offload.core.enqueueing.handle import JobHandle


class Producer(JobService, Protocol):
    """Whoever enqueues jobs and answers for them."""

    def send(self, request: EnqueueRequest) -> JobHandle[Any]:
        """Enqueue one job."""

    def send_many(self, requests: Sequence[EnqueueRequest]) -> list[JobHandle[Any]]:
        """Enqueue many jobs."""


_current: Producer | None = None
_build: Callable[[], Producer] | None = None


def current_producer() -> Producer:
    """Return the producer in force; the first call may build it from the environment."""
    global _current  # noqa: PLW0603 - one producer a process is the point
    if _current is None:
        if _build is None:
            msg = "no client is set: call offload.use(Client.from_stack('offload')) first"
            raise DefinitionError(msg)
        _current = _build()
    return _current


def enqueue(task: str, payload: dict[str, Any], **options: Unpack[EnqueueOptions]) -> JobHandle[Any]:
    """Enqueue a job by its task's name with the client in force; inside a task, the worker's own.

    Args:
        task: The task's name; a task that calls this lists it in its `enqueues`.
        payload: Arguments by name, as JSON values.
        options: As `Task.options` takes them.

    Raises:
        UnknownTask: Not deployed, or not among the caller's `enqueues`.
        DefinitionError: An option is wrong.
        Unavailable: The queue did not answer. The job may have been enqueued all the same; to try again is
            safe under the same `id` or `key`.
    """
    return current_producer().send(EnqueueRequest(task, payload, CheckedOptions.read(options)))


def use(client: Producer | None) -> Producer | None:
    """Set the client that `.delay()` uses in this process; None goes back to the environment's.

    Returns:
        The one that was in force, if any.
    """
    global _current
    before, _current = _current, client
    return before


def build_with(build: Callable[[], Producer]) -> None:
    """Set how the producer is built on first use when none was set."""
    global _build  # noqa: PLW0603 - one producer a process is the point
    _build = build
