"""Claiming: what a delivery of a message means for its job.

A worker first tries `claim`, which succeeds for a job that is due. When the record refuses the claim, the store returns
the record and `resolve_conflict` decides what to do, case by case:

| the record says                                    | decision                                                      |
|----------------------------------------------------|---------------------------------------------------------------|
| another task                                       | `Reject`: the job id is that task's, whatever the state       |
| RUNNING under this very lease                      | `AlreadyClaimed`: only the answer to the claim was lost       |
| SUCCEEDED, CANCELLED, EXPIRED                      | `Drop`: the message is a duplicate; acknowledge it            |
| FAILED, by this message, a copy or a newer one     | `FailMessage`: fail it until the queue moves it to the DLQ    |
| FAILED, this message was sent after the failure    | `Claim`: it was redriven; fresh attempts, history kept        |
| RUNNING, lease alive                               | `Wait` for the lease; deleting the message would lose the job |
| RUNNING, lease over, this message was sent later   | `Claim`: it was redriven; fresh attempts, history kept        |
| RUNNING, lease over, a cancel was asked for        | `Cancel`: its worker died before it could stop                |
| RUNNING, the claim was released                    | `Claim`: the run never began                                  |
| RUNNING, lease over, attempts left                 | `Claim`: its worker died, so it runs last in the batch        |
| RUNNING, lease over, no attempt left               | `Fail`: its worker died on the last attempt                   |
| RETRYING, not due                                  | `Wait` until it is due                                        |
| PENDING, SCHEDULED: changed since the claim failed | `Wait` until now: look again                                  |
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from offload.core.jobs.ending import RELEASED, end_cancelled, end_failed
from offload.core.jobs.record import (
    NOT_STARTED,
    first_attributes,
    first_history,
    history_entry,
    last_message,
    of_task,
    record_ttl,
)
from offload.core.jobs.state import State
from offload.core.messages.copying import origin_sent_at
from offload.core.writes import Condition, Test, Write, holds

if TYPE_CHECKING:
    from offload.core.messages.delivery import Delivery
    from offload.core.records import ErrorRecord, JobRecord

EARLY_MS = 2_000
"""A message may come back this much before its time: visibility counts whole seconds and clocks differ a little."""

AFTER_LEASE_MS = 1_000
"""How long after the end of a lease a message comes back that waits for it."""


class ClaimRequest(NamedTuple):
    """What a worker asks for when it claims a job. Times are epoch milliseconds.

    Attributes:
        delivery: The delivery that the worker holds.
        now: The time of the claim.
        lease_until: When the lease ends: a little after the invocation.
        max_attempts: Attempts that the task allows.
    """

    delivery: Delivery
    now: int
    lease_until: int
    max_attempts: int


class Claim(NamedTuple):
    """Try this write; `after_crash` when an earlier worker died while it ran the job."""

    write: Write[JobRecord]
    after_crash: bool


class AlreadyClaimed:
    """The claim is in force: run."""


class Drop:
    """Acknowledge the message; the job has ended."""


class FailMessage(NamedTuple):
    """Fail the message, so that the queue moves it to its dead-letter queue; before that carry out `first`, if any."""

    first: Write[JobRecord] | None = None


class Wait(NamedTuple):
    """Return the message to its queue until epoch milliseconds `until`."""

    until: int
    why: str


class Fail(NamedTuple):
    """Record the failure, then let the queue move the message to its dead-letter queue."""

    write: Write[JobRecord]


class Cancel(NamedTuple):
    """Record the cancellation, then acknowledge the message."""

    write: Write[JobRecord]


class Reject(NamedTuple):
    """Record that the message can never run, since its job id belongs to the task `owner`."""

    owner: str


Decision = Claim | AlreadyClaimed | Drop | FailMessage | Wait | Fail | Cancel | Reject


def claim(request: ClaimRequest) -> Write[JobRecord]:
    """Claim a job that is due. This write charges the attempt, right before the user's function starts."""
    due: Condition = ((Test("state", "=", State.RETRYING.value), Test("next_at", "<=", request.now + EARLY_MS)),)
    return _claim(request, when=(*NOT_STARTED, *due), add={"attempt": 1}, entry_attempt=0)


def _claim(
    request: ClaimRequest,
    *,
    when: Condition,
    entry_attempt: int,
    note: str | None = None,
    set: dict[str, Any] | None = None,  # noqa: A002 - as in `Write`
    add: dict[str, int],
    remove: tuple[str, ...] = (),
) -> Write[JobRecord]:
    """Return a claim; `entry_attempt` is the attempt's number where it is known here, else 0."""
    delivery, now = request.delivery, request.now
    return Write(
        delivery.job_id,
        when=of_task(delivery.task, when),
        set={
            "state": State.RUNNING.value,
            "started_at": now,
            "updated_at": now,
            "lease": delivery.lease,
            "lease_until": request.lease_until,
            **last_message(delivery),
            "max_attempts": request.max_attempts,
            "ttl": record_ttl(now),
            **(set or {}),
        },
        default=first_attributes(delivery),
        add=add,
        append={"history": [history_entry(State.RUNNING, now, entry_attempt, note)]},
        base=first_history(delivery),
        remove=("next_at", "timer_until", "place_at", "line_number", "idx", "idx_at", *remove),
    )


def _claim_redriven(request: ClaimRequest, *, when: Condition) -> Write[JobRecord]:
    return _claim(
        request,
        when=when,
        entry_attempt=1,
        note="redriven",
        set={"attempt": 1},
        add={"redrives": 1},
        remove=("finished_at", "reason", "cancel_requested_at", "follow_up", "message_sent_at"),
    )


def release_claim(delivery: Delivery, now: int) -> Write[JobRecord]:
    """Undo a claim that may be in force although its answer was lost. No run has begun, so no attempt is charged."""
    return Write(
        delivery.job_id,
        when=of_task(delivery.task, ((Test("state", "=", State.RUNNING.value), Test("lease", "=", delivery.lease)),)),
        set={"lease": RELEASED, "lease_until": now, "updated_at": now},
        add={"attempt": -1},
    )


def expect(record: JobRecord | None, request: ClaimRequest) -> Decision:
    """Return what a delivery means for its job, as the record stands: a claim, or why there can be none."""
    write = claim(request)
    if record is None or holds(write.when, record):
        return Claim(write, after_crash=False)
    return resolve_conflict(record, request)


def is_own(record: JobRecord, delivery: Delivery) -> bool:
    """Tell whether a record is of the delivery's task; a job id belongs to one task."""
    return record["task"] == delivery.task


def resolve_conflict(record: JobRecord, request: ClaimRequest) -> Decision:
    """Decide what a delivery means whose claim was refused by the record; see the module's table."""
    if not is_own(record, request.delivery):
        return Reject(record["task"])
    state = State(record["state"])
    if state is State.RUNNING:
        return _resolve_running(record, request)
    if state is State.FAILED:
        return _resolve_failed(record, request)
    if state.ended:
        return Drop()
    # The job is RETRYING and not due. It is PENDING or SCHEDULED only if its record has changed since the claim was
    # refused; then waiting until `now` means to look again at once.
    return Wait(record.get("next_at", request.now), "not due yet")


def _resolve_failed(record: JobRecord, request: ClaimRequest) -> Decision:
    noted = note_replacement(record, request.delivery)
    if noted is not None:
        return FailMessage(first=noted)
    failed_at = max(record.get("finished_at", 0), record.get("message_sent_at", 0))
    if not _was_redriven(request.delivery, record, failed_at):
        return FailMessage()
    return Claim(_claim_redriven(request, when=(_same_failure(record),)), after_crash=False)


def _resolve_running(record: JobRecord, request: ClaimRequest) -> Decision:
    delivery, now = request.delivery, request.now
    lease, lease_until, attempt = record.get("lease", ""), record.get("lease_until", 0), record.get("attempt", 0)
    if lease == delivery.lease:
        return AlreadyClaimed()
    if lease_until > now:
        return Wait(lease_until + AFTER_LEASE_MS, "another worker holds the job")
    same_claim: Condition = ((Test("state", "=", State.RUNNING.value), Test("lease", "=", lease)),)
    released = lease == RELEASED
    if _was_redriven(delivery, record, lease_until):
        return Claim(_claim_redriven(request, when=same_claim), after_crash=not released)
    if "cancel_requested_at" in record:
        return Cancel(end_cancelled(delivery, record, now, when=same_claim))
    if attempt >= request.max_attempts:
        return Fail(end_failed(delivery, record, _worker_lost(attempt), now, when=same_claim))
    note = "the claim before was released" if released else "the worker before it died"
    write = _claim(request, when=same_claim, entry_attempt=attempt + 1, note=note, add={"attempt": 1})
    return Claim(write, after_crash=not released)


def note_replacement(record: JobRecord, delivery: Delivery) -> Write[JobRecord] | None:
    """Return the write that notes which message has replaced the failed one; None when this message has not.

    1. Message A fails. Copy B has replaced A, and copy C has replaced B; both were sent after the failure.
    2. C is delivered: the record notes that C is now the job's message, and when C was sent.
    3. B is delivered late. B was sent after the failure, like a redriven message, but before C. So B is no redrive.
    """
    if record.get("message_id") not in delivery.message.replaces:
        return None
    # A worker that stood still for a while must not put an older copy back in the place of a newer one.
    same = (*_same_failure(record), Test("message_id", "=", record["message_id"]))
    noted = {**last_message(delivery), "message_sent_at": delivery.sent_at}
    return Write(delivery.job_id, when=of_task(delivery.task, (same,)), set=noted)


def _same_failure(record: JobRecord) -> tuple[Test, ...]:
    return (Test("state", "=", State.FAILED.value), Test("finished_at", "=", record.get("finished_at", 0)))


def _was_redriven(delivery: Delivery, record: JobRecord, moment: int) -> bool:
    """Tell whether a message was redriven after `moment`: it has a new id, and was sent later.

    A worker can send a copy later too, although it made the copy of a message that it received before: the worker stood
    still, or a timer sends the copy. The times at which copies are made tell which it is:

    | the copy                                                                      | means        |
    |-------------------------------------------------------------------------------|--------------|
    | is, or stems from, the copy that the record knows, and has another id         | was redriven |
    | stems from a message that was sent after `moment`                             | was redriven |
    | was sent long after it was made                                               | was redriven |
    | else: it stems from a second message of the job, which lay beside the first   | was not      |
    """
    if record.get("message_id") in delivery.message_ids or delivery.sent_at <= moment:
        return False
    message = delivery.message
    if not message.copied_at or record.get("message_copied_at", 0) in message.copied_at:
        return True
    return origin_sent_at(message, delivery.sent_at) > moment


def _worker_lost(attempt: int) -> ErrorRecord:
    return {
        "type": "WorkerLost",
        "message": "the worker was killed, timed out or ran out of memory, or could not record how the run ended",
        "traceback": "",
        "attempt": attempt,
    }
