"""The dead-letter queues: their messages, and the reason why each message is there."""

from __future__ import annotations

from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from offload.client.message_records import ids_of, record_of
from offload.core.errors import Refused, Unavailable
from offload.core.jobs.fingerprint import fingerprint
from offload.core.jobs.job import Job
from offload.core.manifest import dead_letter_name
from offload.core.ports import LONGEST_VISIBILITY, MOST_ENTRIES

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from offload.client import Client
    from offload.core.messages.message import AnyMessage
    from offload.core.ports import Queues, ReceivedMessage
    from offload.core.records import JobRecord

_HIDE = 20
"""Seconds that a received message stays hidden at first. It is made visible again as soon as the look is over, so this
time counts only when the program dies before."""

_MOST = 120_000
"""Messages of one look. SQS gives out no more while so many are hidden."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message in a dead-letter queue.

    Attributes:
        task: Task name.
        lane: Priority lane.
        job_id: Id of the message's job; where the message names another task's job, that of its own record.
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
    found: list[DeadLetter] = []
    for lane in client.manifest.lanes(task):
        # The messages are visible again before their records are read, however long that takes.
        with closing(_looked_at(client.queues, dead_letter_name(client.manifest.stack, task, lane))) as messages:
            received = list(islice(messages, limit - len(found)))
        found += [read_dead_letter(client.store.get, task, lane, message) for message in received]
    return found


def read_dead_letter(read: Callable[[str], JobRecord | None], task: str, lane: str, message: AnyMessage) -> DeadLetter:
    """Return a dead letter with its job.

    Args:
        read: Reads a record.
        task: Task name.
        lane: Priority lane.
        message: The message.
    """
    job_id, record = record_of(read, message, task)
    job = Job.read(record) if record is not None and "state" in record else None
    return DeadLetter(task, lane, job_id, message.message_id, message.sent_at, message.body, job)


def _looked_at(queues: Queues, dead: str, *, wait: int = 0) -> Generator[ReceivedMessage]:
    """Receive a dead-letter queue's messages, each once; at the end all are made visible again.

    However slowly they are looked at, the look comes to those behind: a message that comes a second time has become
    visible too early, and from then on messages stay hidden for longer.
    """
    hidden_for = _HIDE
    receipts: dict[str, str] = {}
    try:
        while len(receipts) < _MOST and (
            batch := queues.receive(dead, limit=MOST_ENTRIES, visibility=hidden_for, wait=wait)
        ):
            new = [message for message in batch if message.message_id not in receipts]
            receipts |= {message.message_id: message.receipt for message in batch}
            yield from new
            seen_again = len(new) < len(batch)
            hidden_for = min(2 * hidden_for, LONGEST_VISIBILITY) if seen_again else hidden_for
    finally:
        for receipt in receipts.values():
            with suppress(Refused, Unavailable):  # it is visible already, or will be when its hiding is over
                queues.change_visibility(dead, receipt, 0)


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


def find_dead_letter(client: Client, task: str, wanted_id: str) -> DeadLetter | None:
    """Return the dead letter with this job id or message id; None when the task's dead-letter queues lack it.

    Messages are looked at one by one until it is found, and only its own record is read.

    Raises:
        UnknownTask: The task is not deployed.
    """
    for lane in client.manifest.lanes(task):
        dead = dead_letter_name(client.manifest.stack, task, lane)
        with closing(_looked_at(client.queues, dead, wait=1)) as messages:
            for message in messages:
                if wanted_id in (*ids_of(message, task), message.message_id):
                    return read_dead_letter(client.store.get, task, lane, message)
    return None
