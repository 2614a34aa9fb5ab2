"""The dead-letter queues: their messages, and the reason why each message is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from offload.core.jobs.fingerprint import fingerprint
from offload.core.jobs.job import Job
from offload.core.manifest import dead_letter_name
from offload.core.messages.message import job_id_for
from offload.core.ports import MOST_ENTRIES

if TYPE_CHECKING:
    from offload.client import Client

_HIDE = 20
"""Seconds that a received message stays hidden. It is made visible again as soon as the list is complete, so this time
counts only when the program dies before."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message in a dead-letter queue.

    Attributes:
        task: Task name.
        lane: Priority lane.
        job_id: Id of the message's job.
        message_id: SQS message id.
        sent_at: When the message was first sent, epoch milliseconds.
        body: The message as it was sent.
        job: The job; None when it has no record.
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
        """The fingerprint of the job's error, equal for errors of the same kind; empty when no error is recorded."""
        return fingerprint(self.job.error) if self.job is not None and self.job.error is not None else ""

    @property
    def reason(self) -> str:
        """Why the message is in the dead-letter queue, in one line."""
        if self.job is None:
            return "no job record: the queue's receives were exhausted before any worker could record it"
        if self.job.error is None:
            return f"job is {self.job.state}"
        return f"{self.job.error['type']}: {self.job.error['message']}"


def list_dead_letters(client: Client, task: str, *, limit: int = 10) -> list[DeadLetter]:
    """Return a task's dead letters and leave them in their queues.

    SQS shows a message only to a receiver, so each message is hidden for a moment and then made visible again. The
    receives have no effect, because a dead-letter queue has no dead-letter queue of its own. SQS returns messages in no
    order, and not always all of them.

    Args:
        client: The stack.
        task: Task name.
        limit: The largest number of messages to return.

    Raises:
        UnknownTask: The task is not deployed.
    """
    dead_letters: list[DeadLetter] = []
    for lane in client.manifest.lanes(task):
        queue = dead_letter_name(client.manifest.stack, task, lane)
        receipts: dict[str, str] = {}
        try:
            while len(dead_letters) < limit:
                most = min(MOST_ENTRIES, limit - len(dead_letters))
                batch = client.queues.receive(queue, limit=most, visibility=_HIDE)
                new = [message for message in batch if message.message_id not in receipts]
                receipts |= {message.message_id: message.receipt for message in batch}
                if not new:
                    break
                for message in new:
                    job_id = job_id_for(message)
                    record = client.store.get(job_id)
                    job = Job.read(record) if record is not None and "state" in record else None
                    dead_letters.append(
                        DeadLetter(task, lane, job_id, message.message_id, message.sent_at, message.body, job)
                    )
        finally:
            for receipt in receipts.values():
                client.queues.change_visibility(queue, receipt, 0)
    return dead_letters


def purge(client: Client, task: str) -> int:
    """Delete all dead letters of a task for good; the records of their jobs stay.

    Returns:
        The approximate number of deleted messages.

    Raises:
        UnknownTask: The task is not deployed.
    """
    deleted = 0
    for lane in client.manifest.lanes(task):
        queue = dead_letter_name(client.manifest.stack, task, lane)
        counts = client.queues.counts(queue)
        deleted += counts.visible + counts.in_flight
        client.queues.purge(queue)
    return deleted


def find_dead_letter(client: Client, task: str, wanted_id: str, *, among: int = 1000) -> DeadLetter | None:
    """Return the dead letter with this job id or message id; None when the first `among` dead letters lack it."""
    for dead_letter in list_dead_letters(client, task, limit=among):
        if wanted_id in (dead_letter.job_id, dead_letter.message_id):
            return dead_letter
    return None
