"""The requests of bulk enqueueing: keys, messages together or alone, records. Threads of their own may make them."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from offload.client.sender import Sent, is_new
from offload.core.errors import IdTaken, OffloadError, Refused, Unavailable
from offload.core.ports import LARGEST_MESSAGE, MOST_ENTRIES
from offload.core.writes import Conflict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from offload.client.sender import Parcel, Sender
    from offload.core.enqueueing.request import EnqueueRequest
    from offload.core.records import JobRecord
    from offload.core.writes import Write

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class BulkJob:
    """One call on its way.

    Attributes:
        index: Its place among the calls.
        request: The request.
        parcel: The job, ready to be sent.
        outcome: What became of it, or is to become of it once it is recorded.
        known: The record that there is under its id.
        sent: Its message was sent just now.
    """

    index: int
    request: EnqueueRequest
    parcel: Parcel
    outcome: Sent | OffloadError
    known: JobRecord | None = None
    sent: bool = False

    @property
    def key(self) -> str | None:
        """Its idempotency key."""
        return self.request.options.key


@dataclass(slots=True)
class Batch:
    """Jobs whose messages one request can send."""

    jobs: list[BulkJob] = field(default_factory=list)
    size: int = 0

    def takes(self, job: BulkJob) -> bool:
        """Whether a job fits in."""
        return len(self.jobs) < MOST_ENTRIES and self.size + job.parcel.size <= LARGEST_MESSAGE

    def add(self, job: BulkJob) -> None:
        """Add a job."""
        self.jobs.append(job)
        self.size += job.parcel.size


def send_alone(sender: Sender, job: BulkJob) -> list[BulkJob]:
    """Send a job that cannot go with others: it waits for long, or has a large payload."""
    for each in _to_send(sender, [job]):
        try:
            sender.send_message(each.parcel)
        except (Unavailable, Refused) as error:
            each.outcome = error
        else:
            each.sent = True
    return [job]


def send_together(sender: Sender, queue: str, jobs: list[BulkJob]) -> list[BulkJob]:
    """Send the messages of some jobs in one request, after another that reserves their keys."""
    to_send = _to_send(sender, jobs)
    answers: Sequence[str | OffloadError] = []
    if to_send:
        try:
            answers = sender.queues.send_batch(queue, [job.parcel.outgoing for job in to_send])
        except (Unavailable, Refused) as error:
            answers = [error] * len(to_send)
    for job, answer in zip(to_send, answers, strict=True):
        if isinstance(answer, OffloadError):
            job.outcome = answer
        else:
            job.sent = True
    return jobs


def _to_send(sender: Sender, jobs: list[BulkJob]) -> list[BulkJob]:
    """Return the jobs whose messages are to be sent: those without a key, and those whose key names no sent job."""
    keyed = [job for job in jobs if job.key is not None]
    if not keyed:
        return jobs
    found = [job for job in jobs if job.key is None]
    named_jobs = sender.jobs_of_keys([job.parcel for job in keyed], [job.known for job in keyed])
    for job, named in zip(keyed, named_jobs, strict=True):
        if isinstance(named, OffloadError):
            job.outcome = named
            continue
        job.outcome = Sent(named.job_id, named.created)
        if not named.sent:
            job.parcel = sender.prepare(job.request, named.job_id)
            found.append(job)
    return found


def writes_of(sender: Sender, job: BulkJob) -> list[Write[Any]]:
    """Return what is written once a job's message is sent: its record, and that its key's job was sent."""
    writes: list[Write[Any] | None] = [sender.record(job.parcel), sender.confirmation(job.parcel)]
    return [write for write in writes if write is not None]


def write_records(sender: Sender, jobs: list[tuple[BulkJob, list[Write[Any]]]]) -> list[BulkJob]:
    """Write the records of some jobs that were sent. What cannot be written here is left to the jobs' workers."""
    places = [(job, write) for job, writes in jobs for write in writes]
    answers: Sequence[Any]
    try:
        answers = sender.store.apply_many([write for _, write in places])
    except (Unavailable, Refused) as error:
        answers = [error] * len(places)
    left = [answer for answer in answers if isinstance(answer, Unavailable | Refused)]
    for (job, write), answer in zip(places, answers, strict=True):
        if isinstance(answer, Conflict) and write.id == job.parcel.job_id and isinstance(job.outcome, Sent):
            try:
                job.outcome = Sent(job.outcome.job_id, job.outcome.created and is_new(job.parcel, answer))
            except IdTaken as error:
                job.outcome = error
    if left:
        _log.warning("%d of %d records of enqueued jobs are left to their workers: %s", len(left), len(places), left[0])
    return [job for job, _ in jobs]
