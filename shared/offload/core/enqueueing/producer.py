"""The producer in force: where `.delay()` sends a job.

A task's module loads no SDK, so the task asks here for its producer: the client that was set by `use`, inside a
function the worker's own, else one that is built from the environment on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from offload.core.enqueueing.handle import JobService
from offload.core.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Unpack

    from offload.core.enqueueing.bulk import BulkRequest, JobHandles
    from offload.core.enqueueing.handle import JobHandle
    from offload.core.enqueueing.options import EnqueueOptions
    from offload.core.enqueueing.request import EnqueueRequest


class Producer(JobService, Protocol):
    """Whoever enqueues jobs and answers for them."""

    def enqueue(self, task: str, payload: dict[str, Any], **options: Unpack[EnqueueOptions]) -> JobHandle[Any]:
        """Check and enqueue a job by its task's name."""

    async def aenqueue(self, task: str, payload: dict[str, Any], **options: Unpack[EnqueueOptions]) -> JobHandle[Any]:
        """`enqueue` for `async` code."""

    def send(self, request: EnqueueRequest) -> JobHandle[Any]:
        """Enqueue one job."""

    async def asend(self, request: EnqueueRequest) -> JobHandle[Any]:
        """`send` for `async` code."""

    def send_many(self, bulk: BulkRequest) -> JobHandles[JobHandle[Any]]:
        """Enqueue many jobs of one task."""


_current: dict[str, Producer] = {}
_build: Callable[[], Producer] | None = None
_ONE = "producer"


def current_producer() -> Producer:
    """Return the producer in force; the first call may build it from the environment."""
    current = _current.get(_ONE)
    if current is not None:
        return current
    if _build is None:
        msg = "no client is set: call offload.use(Client.from_stack('offload')) first"
        raise DefinitionError(msg)
    # Threads that come here at once build several, which touches nothing, and all use the first one that was kept. A
    # lock would have to survive `fork`.
    return _current.setdefault(_ONE, _build())


def enqueue(task: str, payload: dict[str, Any], **options: Unpack[EnqueueOptions]) -> JobHandle[Any]:
    """Enqueue a job by its task's name with the client in force; inside a task, the worker's own.

    Args:
        task: The task's name; a task that calls this lists it in its `enqueues`.
        payload: Arguments by name, as `.delay` takes them or as JSON values. They are checked by the task's schema in
            the manifest; a validator of the task's own runs in the worker.
        options: As `Task.options` takes them.

    Raises:
        UnknownTask: Not deployed, or not among the caller's `enqueues`.
        PayloadError: The arguments do not fit the task's signature; names each wrong one.
        DefinitionError: An option is wrong.
        IdTaken: The option `id` belongs to another task, or to a job that was enqueued without the option `key`.
        KeyReused: The option `key` names a job with other arguments.
        Unavailable: The queue did not answer. The job may have been enqueued all the same; to try again is
            safe under the same `id` or `key`.
    """
    return current_producer().enqueue(task, payload, **options)


async def aenqueue(task: str, payload: dict[str, Any], **options: Unpack[EnqueueOptions]) -> JobHandle[Any]:
    """`enqueue` for `async` code."""
    return await current_producer().aenqueue(task, payload, **options)


def use(client: Producer | None) -> Producer | None:
    """Set the client that `.delay()` uses in this process; None goes back to the environment's.

    Returns:
        The one that was in force, if any.
    """
    before = _current.pop(_ONE, None)
    if client is not None:
        _current[_ONE] = client
    return before


def build_with(build: Callable[[], Producer]) -> None:
    """Set how the producer is built on first use when none was set."""
    global _build  # noqa: PLW0603 - one producer a process is the point
    _build = build
