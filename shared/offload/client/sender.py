"""Sending: from a request to a message in its queue and a record in the job table.

The message is sent first and the record written after it. A crash between the two leaves a job that runs, and whose
worker writes the record. The other order would leave a record without a message, PENDING for ever.
"""

from __future__ import annotations

import json
import logging
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from offload.client.key_lookup import job_of_key
from offload.core.durations import seconds
from offload.core.errors import OffloadError, PayloadError, Refused, Unavailable
from offload.core.ids import new_id
from offload.core.jobs.accepting import accept
from offload.core.jobs.idempotency_keys import confirm_key, key_item_id
from offload.core.manifest import DEFAULT_LANE, queue_name
from offload.core.messages.message import Message
from offload.core.ports import LONGEST_QUEUE_DELAY, OutgoingMessage
from offload.core.tasks.context import running_job
from offload.core.writes import Conflict

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from offload.core.clock import Clock
    from offload.core.enqueueing.request import EnqueueRequest
    from offload.core.manifest import Manifest
    from offload.core.ports import Blobs, JobStore, Queues, Timers

_log = logging.getLogger(__name__)

INLINE_MESSAGE = 200_000
"""Bytes of message kept in the queue; SQS bills each 64 KB as a request and Scheduler takes at most 256 KB."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A job that was enqueued; not `created` when an idempotency key named a job that was there already."""

    job_id: str
    created: bool = True


@dataclass(slots=True)
class SentMany:
    """What became of many requests, by their index: the job, or the error and the job id that was meant for it.

    Attributes:
        jobs: Jobs that were enqueued.
        failures: Why the others are not known to be enqueued.
        ids: Job id of each request without a key.
    """

    jobs: dict[int, Sent] = field(default_factory=dict)
    failures: dict[int, OffloadError] = field(default_factory=dict)
    ids: dict[int, str] = field(default_factory=dict)


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
        """Enqueue one job, under `job_id` if it is given."""
        job_id = job_id or request.options.id or new_id(self.rng)
        if request.options.key is not None:
            return self._send_keyed(request, request.options.key, job_id)
        self._send_message(request, job_id)
        return Sent(job_id)

    def send_many(self, requests: Sequence[EnqueueRequest]) -> SentMany:
        """Enqueue many jobs, ten messages a request; jobs with a key or a long delay one by one.

        Raises:
            OffloadError: A request is wrong; nothing was sent.
        """
        now = self.clock.now()
        sent = SentMany()
        one_by_one: list[int] = []
        batches: dict[str, list[tuple[int, Message, OutgoingMessage]]] = {}
        # Whatever is wrong with a request shows here, before anything is sent.
        for index, request in enumerate(requests):
            queue = self._queue(request)
            if request.options.key is None:
                sent.ids[index] = request.options.id or new_id(self.rng)
            if request.options.key is not None or request.options.delay_seconds > LONGEST_QUEUE_DELAY:
                one_by_one.append(index)
                continue
            message = self._message(request, sent.ids[index], now)
            batches.setdefault(queue, []).append((index, message, _outgoing(request, message)))
        for index in one_by_one:
            try:
                sent.jobs[index] = self.send(requests[index], sent.ids.get(index))
            except OffloadError as error:
                sent.failures[index] = error
        for queue, entries in batches.items():
            answers = self.queues.send_batch(queue, [outgoing for _, _, outgoing in entries])
            for (index, message, _), answer in zip(entries, answers, strict=True):
                if isinstance(answer, OffloadError):
                    sent.failures[index] = answer
                    continue
                self._write_record(requests[index], sent.ids[index], message, now)
                sent.jobs[index] = Sent(sent.ids[index])
        return sent

    def _send_keyed(self, request: EnqueueRequest, key: str, fresh: str) -> Sent:
        """Enqueue under the job id `fresh`, unless the key names a job already."""
        item_id = key_item_id(request.task, key)
        named = job_of_key(self.store, self.clock, item_id, fresh)
        if not named.sent:
            self._send_message(request, named.job_id)
            try:
                self.store.apply(confirm_key(item_id, named.job_id))
            except (Conflict, Unavailable, Refused):
                _log.warning(
                    "key of job %s not confirmed; a later use may send its message again, harmlessly", named.job_id
                )
        return Sent(named.job_id, named.created)

    def _send_message(self, request: EnqueueRequest, job_id: str) -> None:
        now = self.clock.now()
        queue = self._queue(request)
        message = self._message(request, job_id, now)
        delay = request.options.delay_seconds
        if delay > LONGEST_QUEUE_DELAY:
            self.timers.send_at(job_id, queue, message.encode(), now + int(delay * 1000))
        else:
            self.queues.send(queue, _outgoing(request, message))
        self._write_record(request, job_id, message, now)

    def _write_record(self, request: EnqueueRequest, job_id: str, message: Message, now: int) -> None:
        delay = request.options.delay_seconds
        due = now + int(delay * 1000) if delay else None
        write = accept(request.task, job_id, message, now, due=due, max_attempts=request.max_attempts)
        try:
            self.store.apply(write)
        except Conflict:
            pass  # its worker was faster
        except (Unavailable, Refused) as error:
            # The job is accepted and will run; an error here would make the caller enqueue it twice.
            _log.warning("job %s was enqueued, but the worker will write its record: %s", job_id, error)

    def _queue(self, request: EnqueueRequest) -> str:
        lanes = self.manifest.lanes(request.task)
        request.options.check_lane(request.task, lanes)
        return queue_name(self.manifest.stack, request.task, request.options.priority or DEFAULT_LANE)

    def _message(self, request: EnqueueRequest, job_id: str, now: int) -> Message:
        options, running = request.options, running_job()
        expires = options.expires
        message = Message(
            payload=request.payload,
            id=job_id,
            task=request.task,
            key=options.key,
            tenant=options.tenant or (running.tenant if running else None),
            lane=options.priority,
            expires_at=None if expires is None else now + int(seconds(expires, field="expires") * 1000),
            enqueued_at=now,
            parent=running.id if running else request.parent,
            hops=running.hops + 1 if running else request.hops,
        )
        try:
            body = message.encode().encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise PayloadError(f"{request.task}: the payload cannot be written as JSON: {error}") from error
        if len(body) <= INLINE_MESSAGE:
            return message
        ref = self.blobs.put(f"payloads/{request.task}/{job_id}.json", json.dumps(request.payload).encode())
        return message.with_payload_at(ref)


def _outgoing(request: EnqueueRequest, message: Message) -> OutgoingMessage:
    return OutgoingMessage(message.encode(), delay=math.ceil(request.options.delay_seconds), group=message.group)
