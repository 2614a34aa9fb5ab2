"""The second pass over the calls of a bulk: they become messages and records.

Messages go ten a request, records 25 a request, each after its message. What cannot go with others goes alone: delays
of more than 15 minutes and large payloads. Of calls of one id or key, the first is sent, and the others follow.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

from offload.client.bulk_blocks import blocks
from offload.client.bulk_lookup import BulkLookup
from offload.client.bulk_requests import Batch, BulkJob, send_alone, send_together, write_records, writes_of
from offload.client.sender import Sent
from offload.client.spool import Outcome, Outcomes, SentHandles
from offload.core.enqueueing.bulk import MOST_KEPT, JobHandles, PartlyEnqueued
from offload.core.errors import OffloadError, Refused, Unavailable
from offload.core.hooks import call_hooks
from offload.core.jobs.accepting import check_owner

if TYPE_CHECKING:
    from collections.abc import Sequence

    from offload.client.bulk_blocks import BulkCall
    from offload.client.in_flight import InFlight
    from offload.client.sender import Sender
    from offload.client.spool import Spool
    from offload.core.enqueueing.bulk import BulkRequest, IdPrefix
    from offload.core.enqueueing.handle import JobHandle, JobService
    from offload.core.enqueueing.request import EnqueueRequest
    from offload.core.writes import Write

RECORDS_AT_ONCE = 25
"""Writes of one request to the job table."""

MOST_FAILED_REQUESTS = 10
"""Sends in a row of which no message was accepted. After that many the service is out, and the rest is not tried."""


class Shipment:
    """The second pass: checked calls become messages and records."""

    def __init__(
        self,
        sender: Sender,
        bulk: BulkRequest,
        prefix: IdPrefix,
        spool: Spool,
        in_flight: InFlight,
        service: JobService,
    ) -> None:
        """Begin with nothing sent."""
        self._sender, self._bulk, self._prefix = sender, bulk, prefix
        self._spool, self._in_flight = spool, in_flight
        read_result = spool.first.read_result if spool.first is not None else None
        self._outcomes = Outcomes()
        self._handles = SentHandles(bulk.task, prefix, self._outcomes, service, read_result)
        self._batches: dict[tuple[str, bool], Batch] = {}
        self._unrecorded: list[tuple[BulkJob, list[Write[Any]]]] = []
        self._announced: dict[int, EnqueueRequest] = {}
        self._failures: dict[int, OffloadError] = {}
        self._ids: dict[int, str] = {}
        self._count: Counter[str] = Counter()
        self._failed_requests = 0
        self._given_up: OffloadError | None = None

    def send(self) -> JobHandles[JobHandle[Any]]:
        """Send everything, and return the handles.

        Raises:
            PartlyEnqueued: Some jobs are not known to be enqueued.
        """
        self._report()
        try:
            for block in blocks(self._spool, self._prefix, repeating=False):
                self._send_block(block)
            self._finish()
            self._repeat()
        except BaseException as error:
            for request in self._announced.values():
                call_hooks("after_enqueue", request, None, error)
            raise
        total, prefix = len(self._spool), str(self._prefix)
        if self._count["failed"]:
            first = dict(sorted(self._failures.items()))
            handles = JobHandles(total, prefix, self._handles.found)
            raise PartlyEnqueued(handles, self._count["failed"], first, self._ids)
        return JobHandles(total, prefix, self._handles.at)

    # Jobs, block by block

    def _finish(self) -> None:
        """Send what waits for others to go with, and wait until it is sent and recorded."""
        for place in list(self._batches):
            self._send_batch(place)
        self._in_flight.finish()
        self._write_records()  # fewer than one request takes
        self._in_flight.finish()

    def _send_block(self, block: list[BulkCall]) -> None:
        found, no_look = self._look(block)
        for index, request, job_id, _ in block:
            if self._given_up is not None:
                self._fail(index, request, job_id, self._given_up)
                continue
            self._announce(index, request)
            try:
                if no_look is not None and self._is_chosen(request):
                    raise no_look
                there = found.job_of(request, job_id)
                if there is not None:
                    self._succeed(index, request, there)
                else:
                    parcel = self._sender.prepare(request, job_id)
                    self._add(BulkJob(index, request, parcel, Sent(job_id), found.records.get(job_id)))
            except OffloadError as error:
                self._fail(index, request, job_id, error)

    def _announce(self, index: int, request: EnqueueRequest) -> None:
        call_hooks("before_enqueue", request)
        self._announced[index] = request

    def _is_chosen(self, request: EnqueueRequest) -> bool:
        """Whether somebody has chosen the job's id: then there may be a job of that id already."""
        return self._bulk.id_prefix is not None or request.options.id is not None

    def _look(self, block: list[BulkCall]) -> tuple[BulkLookup, OffloadError | None]:
        """Look which jobs are there already."""
        chosen = [(call.request, call.job_id) for call in block if self._is_chosen(call.request)]
        if self._given_up is None:
            try:
                return BulkLookup.look(self._sender, chosen), None
            except (Unavailable, Refused) as error:
                self._judge(error)
                return BulkLookup(self._sender), error
        return BulkLookup(self._sender), None

    def _repeat(self) -> None:
        """Tell each call that has the id or key of an earlier one what became of that one, where that says all."""
        for block in blocks(self._spool, self._prefix, repeating=True) if self._spool.repeating else ():
            found, no_look = self._look(block)
            for call in block:
                first = self._outcomes.get(call.repeats)
                if first.decides(call.request):
                    self._follow(call, first, found, no_look or self._given_up)
                else:
                    # Alone: two calls of one batch cannot reserve the same key.
                    self._send_block([call])
                    self._finish()
        self._report()

    def _follow(self, call: BulkCall, first: Outcome, found: BulkLookup, no_look: OffloadError | None) -> None:
        """Give a call the outcome of the earlier one that it repeats."""
        index, request, job_id, repeats = call
        self._announce(index, request)
        if first.failed:
            lost = Unavailable(f"call {repeats}, which has the same id or key, was not enqueued")
            self._fail(index, request, job_id, self._failures.get(repeats, lost))
            return
        named = first.job_id or self._prefix.job_id(repeats)
        try:
            if no_look is not None and self._is_chosen(request):
                raise no_look
            if job_id in found.records:
                check_owner(request.task, found.records[job_id])
        except OffloadError as error:
            self._fail(index, request, job_id, error)
        else:
            self._succeed(index, request, Sent(named, created=False))

    def _add(self, job: BulkJob) -> None:
        """Add a job to its batch, or send it alone."""
        if not job.parcel.fits_into_batch:
            self._in_flight.start(partial(send_alone, self._sender, job), self._settle)
            return
        place = (job.parcel.queue, job.key is not None)
        if place in self._batches and not self._batches[place].takes(job):
            self._send_batch(place)
        self._batches.setdefault(place, Batch()).add(job)

    def _send_batch(self, place: tuple[str, bool]) -> None:
        jobs = self._batches.pop(place).jobs
        if self._given_up is None:
            self._in_flight.start(partial(send_together, self._sender, place[0], jobs), self._settle)
        else:
            for job in jobs:
                self._fail(job.index, job.request, job.parcel.job_id, self._given_up)

    # What became of them

    def _settle(self, jobs: Sequence[BulkJob]) -> None:
        """Meet the outcome of a send."""
        self._judge(next((job.outcome for job in jobs if isinstance(job.outcome, Sent)), jobs[0].outcome))
        for job in jobs:
            writes = writes_of(self._sender, job) if job.sent else []
            if writes:
                self._unrecorded.append((job, writes))
            else:
                self._close(job)
        while sum(len(writes) for _, writes in self._unrecorded) >= RECORDS_AT_ONCE:
            self._write_records()
        self._report()

    def _judge(self, outcome: Sent | OffloadError) -> None:
        """Give up when the service is out."""
        self._failed_requests = 0 if isinstance(outcome, Sent) else self._failed_requests + 1
        if self._failed_requests >= MOST_FAILED_REQUESTS and isinstance(outcome, OffloadError):
            self._given_up = outcome

    def _write_records(self) -> None:
        taken: list[tuple[BulkJob, list[Write[Any]]]] = []
        room = RECORDS_AT_ONCE
        while self._unrecorded and len(self._unrecorded[0][1]) <= room:
            taken.append(self._unrecorded.pop(0))
            room -= len(taken[-1][1])
        if taken:
            self._in_flight.start(partial(write_records, self._sender, taken), self._settle_records)

    def _settle_records(self, jobs: Sequence[BulkJob]) -> None:
        for job in jobs:
            self._close(job)
        self._report()

    def _close(self, job: BulkJob) -> None:
        if isinstance(job.outcome, Sent):
            self._succeed(job.index, job.request, job.outcome)
        else:
            self._fail(job.index, job.request, job.parcel.job_id, job.outcome)

    def _succeed(self, index: int, request: EnqueueRequest, sent: Sent) -> None:
        own = None if sent.job_id == self._prefix.job_id(index) else sent.job_id
        own_job = request.options.key_may_differ and not sent.created
        self._outcomes.put(index, Outcome(created=sent.created, job_id=own, own=own_job))
        self._count["enqueued"] += 1
        self._announced.pop(index, None)
        call_hooks("after_enqueue", request, self._handles.of(sent), None)

    def _fail(self, index: int, request: EnqueueRequest, job_id: str, error: OffloadError) -> None:
        self._outcomes.put(index, Outcome(failed=True, own=not isinstance(error, Unavailable | Refused)))
        self._count["failed"] += 1
        if len(self._failures) < MOST_KEPT:
            self._failures[index] = error
            if request.options.key is None:
                self._ids[index] = job_id
        if self._announced.pop(index, None) is not None:
            call_hooks("after_enqueue", request, None, error)

    def _report(self) -> None:
        if self._bulk.progress is not None:
            self._bulk.progress(self._count.total(), len(self._spool))
