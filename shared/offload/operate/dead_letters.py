"""The dead-letter queues: what lies there and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from offload.core.fingerprint import fingerprint
from offload.core.jobs import Job
from offload.core.manifest import dead_letter_name
from offload.core.messages import job_id_of

if TYPE_CHECKING:
    from offload.client import Client

_PEEK = 20
"""Seconds a message stays hidden while it is looked at, in case the one who looks dies; afterwards it is put back."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message in a dead-letter queue.

    Attributes:
        task: Task name.
        lane: Priority lane.
        job_id: The job it belongs to.
        message_id: SQS message id.
        sent_at: When it was first sent, epoch milliseconds.
        body: The message as it was sent.
        job: The job's record; None when there is none.
    """

    task: str
    lane: str
    job_id: str
    message_id: str
    sent_at: int
    body: str
    job: Job | None

    @property
    def fingerprint(self) -> str:
        """The kind of its error; empty when there is no record of one."""
        return fingerprint(self.job.error) if self.job is not None and self.job.error is not None else ""

    @property
    def reason(self) -> str:
        """Why it is there, in a line."""
        if self.job is None:
            return "no job record: the queue's receives were exhausted before any worker could record it"
        if self.job.error is None:
            return f"job is {self.job.state}"
        return f"{self.job.error['type']}: {self.job.error['message']}"


def list_dead_letters(client: Client, task: str, *, limit: int = 10) -> list[DeadLetter]:
    """Look at a task's dead letters without taking them.

    SQS has no way to look without receiving, so each message is hidden for a moment and put back; a dead-letter queue
    has no redrive policy of its own, so the receives count for nothing. SQS returns a sample, not an order.

    Args:
        client: The stack.
        task: Task name.
        limit: Most messages looked at.

    Raises:
        UnknownTask: Not deployed.
    """
    letters: list[DeadLetter] = []
    for lane in client.manifest.lanes(task):
        queue = dead_letter_name(client.manifest.stack, task, lane)
        seen: dict[str, str] = {}
        try:
            while len(letters) < limit:
                batch = client.queues.receive(queue, limit=min(10, limit - len(letters)), visibility=_PEEK)
                fresh = [message for message in batch if message.message_id not in seen]
                seen |= {message.message_id: message.receipt for message in batch}
                if not fresh:
                    break
                for message in fresh:
                    job_id = job_id_of(message.body) or message.message_id
                    item = client.store.get(job_id)
                    job = Job.read(item) if item is not None and "state" in item else None
                    letters.append(
                        DeadLetter(task, lane, job_id, message.message_id, message.sent_at, message.body, job)
                    )
        finally:
            for receipt in seen.values():
                client.queues.change_visibility(queue, receipt, 0)
    return letters


def purge(client: Client, task: str) -> int:
    """Delete all of a task's dead letters for good; their jobs' records stay.

    Returns:
        How many there were, approximately.

    Raises:
        UnknownTask: Not deployed.
    """
    gone = 0
    for lane in client.manifest.lanes(task):
        queue = dead_letter_name(client.manifest.stack, task, lane)
        counts = client.queues.counts(queue)
        gone += counts.visible + counts.in_flight
        client.queues.purge(queue)
    return gone


def find_dead_letter(client: Client, task: str, message_or_job: str, *, among: int = 1000) -> DeadLetter | None:
    """Return one dead letter by its job's or its message's id, if it is among the first `among`."""
    for letter in list_dead_letters(client, task, limit=among):
        if message_or_job in (letter.job_id, letter.message_id):
            return letter
    return None
