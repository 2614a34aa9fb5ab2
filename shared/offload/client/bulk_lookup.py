"""Which of many jobs are there already, by their ids and keys: what there is needs no message.

A record is written only once its job's message is sent. Only an id that somebody has chosen, or that comes from a
chosen prefix, can have one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from offload.client.key_lookup import named_job
from offload.client.sender import Sent
from offload.core.jobs.accepting import check_owner
from offload.core.jobs.idempotency_keys import job_of_id, key_item_id, names_job

if TYPE_CHECKING:
    from collections.abc import Sequence

    from offload.client.sender import Sender
    from offload.core.enqueueing.request import EnqueueRequest
    from offload.core.records import JobRecord, KeyRecord


@dataclass(frozen=True, slots=True)
class BulkLookup:
    """What one look at the job table has found.

    Attributes:
        sender: Whose table it is.
        records: The records that are there, by their ids.
        keys: The items of the keys that were given together with the id of a job that is there, by their ids.
    """

    sender: Sender
    records: dict[str, JobRecord] = field(default_factory=dict)
    keys: dict[str, KeyRecord] = field(default_factory=dict)

    @classmethod
    def look(cls, sender: Sender, jobs: Sequence[tuple[EnqueueRequest, str]]) -> BulkLookup:
        """Look for jobs by their ids: one request, and two more where such a job is there and a key was given.

        Raises:
            Unavailable: The table did not answer.
            Refused: The table refuses the request.
        """
        records = sender.store.get_many([job_id for _, job_id in jobs]) if jobs else {}
        items = [
            key_item_id(request.task, request.options.key)
            for request, job_id in jobs
            if request.options.key is not None and job_id in records
        ]
        keys = cast("dict[str, KeyRecord]", sender.store.get_many(items)) if items else {}
        others = {item["job"] for item in keys.values()} - records.keys()
        if others:
            records |= sender.store.get_many(sorted(others))
        return cls(sender, records, keys)

    def job_of(self, request: EnqueueRequest, job_id: str) -> Sent | None:
        """Return the job that a request is for and that is there already; None when a message may have to be sent.

        Args:
            request: The request.
            job_id: The id that its job is to have.

        Raises:
            IdTaken: The id belongs to another task, or to a job that was enqueued without the request's key.
            KeyReused: The key names a job with other arguments.
        """
        known = self.records.get(job_id)
        if known is None:
            return None
        check_owner(request.task, known)
        if request.options.key is None:
            return Sent(job_id, created=False)
        use = self.sender.key_use(request)
        item = self.keys.get(use.item_id)
        if item is not None and names_job(item, self.sender.clock.now()):
            named = named_job(use, item, self.records.get(item["job"]), job_id)
            if named is not None:
                return Sent(named.job_id, created=False) if named.sent else None
        return Sent(job_of_id(use, known), created=False)
