"""Sending: from a request to a message in its queue and a record in the job table.

The message is sent first and the record written after it. A crash between the two leaves a job that runs, and whose
worker writes the record. The other order would leave a record without a message, PENDING for ever.
"""

from __future__ import annotations

import json
import logging
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from offload.client.key_lookup import KeyedJob, job_of_key
from offload.core.durations import seconds
from offload.core.errors import OffloadError, PayloadError, Refused, Unavailable
from offload.core.ids import new_id
from offload.core.jobs.accepting import accept, check_owner, was_accepted_before
from offload.core.jobs.idempotency_keys import KEY_WINDOW, KeyUse, confirm_key, reserve_key
from offload.core.manifest import DEFAULT_LANE, queue_name
from offload.core.messages.message import Message
from offload.core.messages.waiting import timer_name
from offload.core.ports import LONGEST_QUEUE_DELAY, OutgoingMessage
from offload.core.retention import payload_key
from offload.core.tasks.context import origin
from offload.core.writes import Conflict

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from offload.core.clock import Clock
    from offload.core.enqueueing.request import EnqueueRequest
    from offload.core.manifest import Manifest
    from offload.core.ports import Blobs, JobStore, Queues, Timers
    from offload.core.records import JobRecord, KeyRecord
    from offload.core.writes import Write

_log = logging.getLogger(__name__)

INLINE_MESSAGE = 200_000
"""Bytes of message kept in the queue; SQS bills each 64 KB as a request and Scheduler takes at most 256 KB."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A job that was enqueued; not `created` when it was there already, by its idempotency key or its id."""

    job_id: str
    created: bool = True


@dataclass(frozen=True, slots=True)
class Parcel:
    """A job that is ready to be sent. Times are epoch milliseconds.

    Attributes:
        request: What was asked for.
        job_id: The job's id.
        queue: Name of the queue.
        message: The message, with its payload.
        body: The encoded message.
        now: When it was made ready.
        due: When a delayed job starts; None for at once.
    """

    request: EnqueueRequest
    job_id: str
    queue: str
    message: Message
    body: str
    now: int
    due: int | None

    @property
    def delay(self) -> int:
        """Whole seconds that the message is held back."""
        return 0 if self.due is None else math.ceil((self.due - self.now) / 1000)

    @property
    def size(self) -> int:
        """Bytes of the encoded message."""
        return len(self.body.encode())

    @property
    def fits_into_batch(self) -> bool:
        """Whether one request can send it together with others."""
        return self.delay <= LONGEST_QUEUE_DELAY and self.size <= INLINE_MESSAGE

    @property
    def outgoing(self) -> OutgoingMessage:
        """What the queue is given."""
        return OutgoingMessage(self.body, delay=self.delay, group=self.message.group)


@dataclass(frozen=True, slots=True)
class Sender:
    """Enqueues the jobs of one stack; see `Client` for what the attributes are."""

    manifest: Manifest
    store: JobStore
    queues: Queues
    blobs: Blobs
    timers: Timers
    clock: Clock
    rng: random.Random

    def send(self, request: EnqueueRequest, job_id: str | None = None) -> Sent:
        """Enqueue one job, under `job_id` if it is given.

        An id that the caller has chosen costs one read, before anything is sent: a record is written only once its
        message is sent, so nothing is sent for a job that has one.

        Raises:
            IdTaken: The id belongs to another task. Nothing was sent, unless that task took it meanwhile; then the
                message ends in the dead-letter queue. Or the id belongs to a job that was enqueued without the key.
            KeyReused: The key names a job with other arguments. Nothing was sent.
        """
        self.check(request)  # before anything is asked or written
        job_id = job_id or request.options.id or new_id(self.rng)
        known = self.store.get(job_id) if request.options.id is not None else None
        if known is not None:
            check_owner(request.task, known)
        parcel = self.prepare(request, job_id)
        if request.options.key is not None:
            return self._send_keyed(parcel, known)
        if known is not None:
            return Sent(job_id, created=False)
        self.send_message(parcel)
        created = self._write_record(parcel)
        return Sent(job_id, created)

    def check(self, request: EnqueueRequest) -> None:
        """Check what can be checked before a job is made ready to be sent.

        Raises:
            OffloadError: The request is wrong.
        """
        self._queue(request)
        request.options.start_at(self.clock.now())

    def prepare(self, request: EnqueueRequest, job_id: str) -> Parcel:
        """Make a job ready to be sent; nothing is sent yet.

        Raises:
            OffloadError: The request is wrong.
        """
        now = self.clock.now()
        due = request.options.start_at(now)
        message = self._message(request, job_id, now)
        try:
            body = message.encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise PayloadError(f"{request.task}: the payload cannot be written as JSON: {error}") from error
        return Parcel(request, job_id, self._queue(request), message, body, now, due)

    def send_message(self, parcel: Parcel) -> None:
        """Send a job's message, or have it sent when it is due; a large payload goes to the bucket before."""
        if parcel.size > INLINE_MESSAGE:
            parcel = self._with_stored_payload(parcel)
        if parcel.due is not None and parcel.delay > LONGEST_QUEUE_DELAY:
            name = timer_name(parcel.request.task, parcel.job_id, parcel.due)
            self.timers.send_at(name, parcel.queue, parcel.body, parcel.due)
        else:
            self.queues.send(parcel.queue, parcel.outgoing)

    def record(self, parcel: Parcel) -> Write[JobRecord] | None:
        """Return the write that records a job whose message was sent; None when only its worker records it."""
        request = parcel.request
        if self._track(request) == "start":
            return None
        return accept(
            request.task, parcel.job_id, parcel.message, parcel.now, due=parcel.due, max_attempts=request.max_attempts
        )

    def _track(self, request: EnqueueRequest) -> str:
        track: str = request.options.track or self._setting(request, "track", "enqueue")
        return track

    def key_use(self, request: EnqueueRequest) -> KeyUse:
        """Return how a request uses its key.

        Raises:
            PayloadError: The payload cannot be written as JSON.
        """
        options = request.options
        assert options.key is not None, "the request has a key"
        window = seconds(options.key_window or self._setting(request, "key_window", KEY_WINDOW), field="key_window")
        return KeyUse.of(
            request.task, options.key, request.payload, self.rng, window=window, may_differ=options.key_may_differ
        )

    def _setting(self, request: EnqueueRequest, name: str, default: Any) -> Any:
        # What is deployed decides, also for a producer that does not import the task.
        return self.manifest.tasks[request.task].get(name, default)

    def jobs_of_keys(
        self, parcels: Sequence[Parcel], known: Sequence[JobRecord | None]
    ) -> list[KeyedJob | OffloadError]:
        """Have each parcel's key name the parcel's job, unless it names another already.

        One request reserves the keys that are free; each of the others takes requests of its own.

        Args:
            parcels: The jobs.
            known: For each, the record that there is under its id.
        """
        now = self.clock.now()
        uses = [self.key_use(parcel.request) for parcel in parcels]
        fresh = [number for number, record in enumerate(known) if record is None]
        writes = [reserve_key(uses[each], parcels[each].job_id, now) for each in fresh]
        answers = iter(self.store.apply_many(writes) if writes else ())
        found: list[KeyedJob | OffloadError] = []
        for use, parcel, record in zip(uses, parcels, known, strict=True):
            answer = next(answers) if record is None else None
            if answer is None or isinstance(answer, Conflict):
                found.append(self._named(use, parcel, record))
            elif isinstance(answer, OffloadError):
                found.append(answer)
            else:
                found.append(KeyedJob(parcel.job_id, created=True, sent=False))
        return found

    def _named(self, use: KeyUse, parcel: Parcel, known: JobRecord | None) -> KeyedJob | OffloadError:
        try:
            return job_of_key(self.store, self.clock, use, parcel.job_id, known)
        except OffloadError as error:
            return error

    def confirmation(self, parcel: Parcel) -> Write[KeyRecord] | None:
        """Return the write that notes that the job of a key was sent; None without a key."""
        key = parcel.request.options.key
        return None if key is None else confirm_key(parcel.request.task, key, parcel.job_id)

    def _send_keyed(self, parcel: Parcel, known: JobRecord | None) -> Sent:
        """Enqueue a job, unless its key names one already."""
        use = self.key_use(parcel.request)
        named = job_of_key(self.store, self.clock, use, parcel.job_id, known)
        created = named.created
        if not named.sent:
            parcel = self.prepare(parcel.request, named.job_id)
            self.send_message(parcel)
            created = self._write_record(parcel) and created
            try:
                self.store.apply(confirm_key(use.task, use.key, named.job_id))
            except (Conflict, Unavailable, Refused):
                _log.warning(
                    "key of job %s not confirmed; a later use may send its message again, harmlessly", named.job_id
                )
        return Sent(named.job_id, created)

    def _write_record(self, parcel: Parcel) -> bool:
        """Write the record of a job that was sent; returns whether the job is new, as far as is known.

        Raises:
            IdTaken: The id belongs to another task, whose job goes on; the message ends in the dead-letter queue.
        """
        write = self.record(parcel)
        try:
            if write is not None:
                self.store.apply(write)
        except Conflict as conflict:
            return is_new(parcel, conflict)
        except (Unavailable, Refused) as error:
            # The job is accepted and will run; an error here would make the caller enqueue it twice.
            _log.warning("job %s was enqueued, but the worker will write its record: %s", parcel.job_id, error)
        return True

    def _queue(self, request: EnqueueRequest) -> str:
        lanes = self.manifest.lanes(request.task)
        request.options.check_lane(request.task, lanes)
        return queue_name(self.manifest.stack, request.task, request.options.priority or DEFAULT_LANE)

    def _message(self, request: EnqueueRequest, job_id: str, now: int) -> Message:
        options, here = request.options, origin()
        expires = options.expires
        return Message(
            payload=request.payload,
            id=job_id,
            task=request.task,
            key=options.key,
            tenant=options.tenant or here.tenant,
            lane=options.priority,
            expires_at=None if expires is None else now + int(seconds(expires, field="expires") * 1000),
            enqueued_at=now,
            parent=request.parent or here.parent,
            hops=request.hops or here.hops,
        )

    def _with_stored_payload(self, parcel: Parcel) -> Parcel:
        request = parcel.request
        data = json.dumps(request.payload).encode()
        key = payload_key(request.task, parcel.job_id, parcel.delay)
        message = parcel.message.with_payload_at(self.blobs.put(key, data))
        return replace(parcel, message=message, body=message.encode())


def is_new(parcel: Parcel, conflict: Conflict) -> bool:
    """Tell whether a job that was sent is new, when its record is there already.

    Its worker may have been faster, or somebody else has used the same id.

    Raises:
        IdTaken: The id belongs to another task.
    """
    found: JobRecord | None = conflict.item
    if found is None:
        return True
    check_owner(parcel.request.task, found)
    return not was_accepted_before(parcel.message, found)
