"""`EnqueueRequest`: a checked request for one job, as a task or a client makes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from offload.core.enqueueing.options import CheckedOptions


class EnqueueRequest(NamedTuple):
    """A checked request for one job.

    Attributes:
        task: The task's name.
        payload: Arguments by name, as JSON values.
        options: How to enqueue.
        read_result: Turns the result's JSON text into the task's return type; None leaves plain JSON values.
        max_attempts: Attempts allowed, where the producer knows the task.
        parent: The job whose end this one follows; a job that runs is known as the parent without it.
        hops: Tasks between that parent and the program that began the chain, the parent included.
    """

    task: str
    payload: dict[str, Any]
    options: CheckedOptions
    read_result: Callable[[str], Any] | None = None
    max_attempts: int | None = None
    parent: str | None = None
    hops: int = 0
