"""Retrying a job by hand: its dead letter is sent again, or its wait is cut short; see `core/jobs/manual_retry.py`."""

from __future__ import annotations

import logging
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from offload.client.dead_letter_scan import DeadLetterScan, sent_again
from offload.core.errors import NoDeadLetter, Refused, Unavailable, WrongState
from offload.core.ids import check_record_id, is_apart
from offload.core.jobs.accepting import check_owner
from offload.core.jobs.job import Job
from offload.core.jobs.manual_retry import check_retryable, make_due, restart_failed
from offload.core.jobs.polling import timeout_seconds
from offload.core.jobs.state import State
from offload.core.manifest import DEFAULT_LANE, dead_letter_name, queue_name
from offload.core.messages.copying import resent_body
from offload.core.messages.message import Message, job_id_for, job_id_of
from offload.core.messages.waiting import timer_name
from offload.core.ports import LONGEST_QUEUE_DELAY, OutgoingMessage
from offload.core.writes import MOST_CONFLICTS, Conflict

if TYPE_CHECKING:
    from collections.abc import Callable

    from offload.core.clock import Clock
    from offload.core.durations import Duration
    from offload.core.manifest import Manifest
    from offload.core.ports import JobStore, Queues, ReceivedMessage, Timers
    from offload.core.records import JobRecord

_log = logging.getLogger(__name__)

_SETTLED_MS = 2_000
"""How long after a failure its message may be sent again. A worker takes a message for redriven only if it was sent
later than the failure, and clocks differ."""

_HIDE = 120
"""Seconds: enough to look through tens of thousands of messages, and bearable when this process dies."""


@dataclass(frozen=True, slots=True)
class ManualRetry:
    """Retries jobs of a stack.

    Attributes:
        manifest: The stack.
        store: Job table.
        queues: Queues.
        timers: One-time schedules.
        clock: Time.
        read: Reads a job by id and, where it is known, its task; see `Client.job`.
    """

    manifest: Manifest
    store: JobStore
    queues: Queues
    timers: Timers
    clock: Clock
    read: Callable[[str, str | None], Job]

    def retry(self, job_id: str, timeout: Duration, task: str | None) -> Job:
        """Run a job again; see `Client.retry`."""
        check_record_id(job_id)
        looks_for = timeout_seconds(timeout)
        deadline = self.clock.now() + looks_for * 1000
        conflicts = 0
        while conflicts < MOST_CONFLICTS:
            record = self.store.get(job_id)
            state = record.get("state") if record is not None else None
            if record is not None and state is not None:
                check_owner(task, record)
            if record is None or state not in (State.FAILED.value, State.RETRYING.value):
                check_retryable(self.read(job_id, task))  # raises, unless the state has changed just now
            elif is_apart(job_id):
                raise WrongState(
                    f"job {job_id} is FAILED for good: its message names a job id of another task; enqueue it anew, "
                    "under another id"
                )
            elif state == State.RETRYING.value:
                with suppress(Conflict):  # its wait has ended meanwhile
                    return self._cut_wait_short(record)
            else:
                restarted = self._send_dead_letter_again(record)
                if restarted is not None:
                    return restarted
                if self.clock.now() >= deadline:
                    raise NoDeadLetter(
                        f"job {job_id} is FAILED, but its message is not in the dead-letter queue of "
                        f"{record['task']!r} (looked for {looks_for:g} s): it was purged, has expired after 14 days, "
                        "is still on its way there, or somebody is looking at it; try again in a few minutes, or "
                        "enqueue the job anew"
                    )
                continue
            conflicts += 1
        raise Unavailable(f"job {job_id} keeps changing; try again")

    def _cut_wait_short(self, record: JobRecord) -> Job:
        """Make the next attempt due, and send the message of its timer now.

        The order matters. A message that comes before its job is due would wait for the same timer again, and a timer
        that is deleted before its message is sent would leave none. A timer that fires after all sends a second
        message, and the job is claimed once.
        """
        now = self.clock.now()
        timer_until = record.get("timer_until")
        if timer_until is None and record.get("next_at", now) <= now + LONGEST_QUEUE_DELAY * 1000:
            return Job.read(record)  # its message waits in the queue, and comes back by then
        job = Job.read(self.store.apply(make_due(record, now)))
        # Without a timer the message is in the queue: its timer was refused, or has just fired.
        in_queue = replace(job, next_at=now + LONGEST_QUEUE_DELAY * 1000)
        if timer_until is None:
            return in_queue
        name = timer_name(job.task, job.id, timer_until)
        timed = self.timers.get(name)
        own = [queue_name(self.manifest.stack, job.task, lane) for lane in self.manifest.lanes(job.task)]
        # A record may be written by others: only the task's own messages are sent because of it.
        if timed is None or timed.queue not in own:
            return in_queue
        body = resent_body(timed.body, now)
        self.queues.send(timed.queue, OutgoingMessage(body, group=Message.decode(body).group))
        self.timers.delete(name)
        return job

    def _send_dead_letter_again(self, record: JobRecord) -> Job | None:
        """Look through the task's dead-letter queues once, the job's lane first; None when the message is in none."""
        stack, task = self.manifest.stack, record["task"]
        scan = DeadLetterScan(self.queues, self.clock, hide=_HIDE)
        first = record.get("lane", DEFAULT_LANE)
        for lane in sorted(self.manifest.lanes(task), key=lambda name: name != first):
            with closing(scan.messages(dead_letter_name(stack, task, lane))) as messages:
                for message in messages:
                    if job_id_for(message) == record["id"]:
                        return self._restart(scan, message, record, queue_name(stack, task, lane))
        return None

    def _restart(self, scan: DeadLetterScan, message: ReceivedMessage, record: JobRecord, source: str) -> Job:
        job_id = record["id"]
        if job_id_of(sent_again(message).body) != job_id:
            raise WrongState(
                f"job {job_id} is FAILED and its message breaks the contract without naming the job, so that sent "
                "again it would be another job that fails; send a mended message"
            )
        early = record.get("finished_at", 0) + _SETTLED_MS - self.clock.now()
        if early > 0:
            self.clock.sleep(early / 1000)
        after = record

        def note_restart() -> None:
            nonlocal after
            try:
                after = self.store.apply(restart_failed(record, self.clock.now()))
            except Conflict as conflict:
                after = conflict.item or record  # its worker was faster
            except (Unavailable, Refused) as error:
                # The message is sent and the job will run; an error here would make the caller send it twice.
                _log.warning("job %s was sent again, but the worker will write its record: %s", job_id, error)

        scan.send_back(message, source, note_restart)
        return Job.read(after)
