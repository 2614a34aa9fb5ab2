"""What waits, runs and lies dead in each queue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from offload.core.manifest import dead_letter_name, queue_name

if TYPE_CHECKING:
    from offload.client import Client


@dataclass(frozen=True, slots=True)
class QueueState:
    """A lane's queue. Numbers are SQS's approximations.

    Attributes:
        task: Task name.
        lane: Priority lane.
        queue: Name of the queue.
        waiting: Messages ready to be received.
        in_flight: Messages a worker holds, or that wait for their next attempt.
        delayed: Messages not due yet.
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
    """Return the state of every queue, or of one task's; two requests a queue.

    Raises:
        UnknownTask: Not deployed.
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
