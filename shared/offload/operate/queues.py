"""The numbers of waiting, running and dead messages of each queue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from offload.core.manifest import dead_letter_name, queue_name

if TYPE_CHECKING:
    from offload.client import Client


@dataclass(frozen=True, slots=True)
class QueueState:
    """The queue of one lane. The numbers are approximations by SQS.

    Attributes:
        task: Task name.
        lane: Priority lane.
        queue: Name of the queue.
        waiting: Messages that can be received.
        in_flight: Messages that a worker has received, and messages that wait for their next attempt.
        delayed: Messages that are not due yet.
        dead: Messages in the dead-letter queue.
    """

    task: str
    lane: str
    queue: str
    waiting: int
    in_flight: int
    delayed: int
    dead: int


def list_queues(client: Client, task: str | None = None) -> list[QueueState]:
    """Return the state of every queue, or of one task's queues. It takes two requests for each queue.

    Raises:
        UnknownTask: The task is not deployed.
    """
    tasks = [task] if task is not None else sorted(client.manifest.tasks)
    states = []
    for name in tasks:
        for lane in client.manifest.lanes(name):
            queue = queue_name(client.manifest.stack, name, lane)
            counts = client.queues.counts(queue)
            dead = client.queues.counts(dead_letter_name(client.manifest.stack, name, lane))
            states.append(
                QueueState(
                    name, lane, queue, counts.visible, counts.in_flight, counts.delayed, dead.visible + dead.in_flight
                )
            )
    return states
