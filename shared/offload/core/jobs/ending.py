"""Ending: what is recorded when a run or a job comes to its end.

The end of a run is conditional on the lease that the run holds, so a worker that was overtaken records nothing. When
the answer to such a write was lost, the second try is refused, and the lease in the record shows that the first try was
carried out (`was_recorded`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from offload.core.jobs.record import (
    NOT_STARTED,
    first_attributes,
    first_history,
    history_and,
    history_entry,
    in_brief,
    index_key,
    last_message,
    of_task,
    reason,
    record_ttl,
    with_tests,
)
from offload.core.jobs.state import State
from offload.core.messages.waiting import takes_timer
from offload.core.writes import Condition, Test, Write

if TYPE_CHECKING:
    from collections.abc import Mapping

    from offload.core.messages.delivery import Delivery
    from offload.core.records import ErrorRecord, JobRecord


RELEASED = ""
"""The lease of a claim that was released."""

_RELEASED_BEFORE_START = (
    Test("state", "=", State.RUNNING.value),
    Test("lease", "=", RELEASED),
    Test("attempt", "=", 0),
)
"""The job's only claim was released, so it has not started."""


def end_expired(delivery: Delivery, now: int) -> Write[JobRecord]:
    """End a job that has not started and whose time is over. A job that was redriven does not expire any more.

    The time is that of the record: whoever names the job in a message cannot choose another one.
    """
    same_time = Test("expires_at", "=", delivery.message.expires_at)
    waiting = with_tests((*NOT_STARTED, _RELEASED_BEFORE_START), Test("redrives", "absent"), same_time)
    return Write(
        delivery.job_id,
        when=of_task(delivery.task, waiting),
        set={
            "state": State.EXPIRED.value,
            "finished_at": now,
            "updated_at": now,
            "message_id": delivery.message_id,
            "ttl": record_ttl(now),
        },
        default={"attempt": 0, **first_attributes(delivery)},
        append={"history": [history_entry(State.EXPIRED, now, 0)]},
        base=first_history(delivery),
        remove=("next_at", "lease_until", "idx", "idx_at"),
    )


def end_rejected(delivery: Delivery, error: ErrorRecord, now: int, *, readable: bool) -> Write[JobRecord]:
    """Fail a message that can never run. No attempt is charged.

    Args:
        delivery: The delivery.
        error: What is wrong with it.
        now: Epoch milliseconds.
        readable: True when the message keeps the contract but its payload does not fit the task (any more). Such a
            message also ends its job after attempts were made. A body that breaks the contract cannot do that.
    """
    other_message: Condition = (
        (
            Test("state", "=", State.FAILED.value),
            *(Test("message_id", "<>", own) for own in delivery.message_ids),
            Test("finished_at", "<=", delivery.sent_at),
        ),
    )
    between_attempts: Condition = (
        (Test("state", "=", State.RETRYING.value),),
        (Test("state", "=", State.RUNNING.value), Test("lease_until", "<=", now)),
    )
    when = (*NOT_STARTED, *other_message, *(between_attempts if readable else ()))
    return end_failed(delivery, {}, error, now, when=when)


def _holds_lease(delivery: Delivery) -> tuple[Test, ...]:
    return (Test("state", "=", State.RUNNING.value), Test("lease", "=", delivery.lease))


def end_succeeded(
    delivery: Delivery,
    record: JobRecord,
    now: int,
    *,
    result: Mapping[str, Any],
    run_attributes: Mapping[str, Any],
    result_until: int,
) -> Write[JobRecord]:
    """Record a success.

    Args:
        delivery: The delivery that holds the lease.
        record: The record as it was after the claim.
        now: Epoch milliseconds.
        result: `result` (JSON text) or `result_ref`, or nothing for None.
        run_attributes: `usage` and the last `progress`.
        result_until: When the result expires, epoch milliseconds.
    """
    return Write(
        delivery.job_id,
        when=of_task(delivery.task, (_holds_lease(delivery),)),
        set={
            "state": State.SUCCEEDED.value,
            "finished_at": now,
            "updated_at": now,
            "ttl": max(record_ttl(now), result_until // 1000),
            "result_until": result_until,
            "history": _history(record, State.SUCCEEDED, now),
            **result,
            **run_attributes,
        },
        remove=("lease_until", "error", "reason"),
    )


def end_attempt(
    delivery: Delivery,
    record: JobRecord,
    now: int,
    *,
    error: ErrorRecord,
    due: int,
    run_attributes: Mapping[str, Any],
) -> Write[JobRecord]:
    """Record a failed attempt that another attempt follows at epoch milliseconds `due`.

    Refused when a cancel was asked for meanwhile; then `end_cancelled` ends the job.

    Args:
        delivery: The delivery that holds the lease.
        record: The record as it was after the claim.
        now: Epoch milliseconds.
        error: Why the attempt failed; the record keeps it in brief.
        due: When the next one starts.
        run_attributes: `usage` and the last `progress`.
    """
    return Write(
        delivery.job_id,
        when=of_task(delivery.task, ((*_holds_lease(delivery), Test("cancel_requested_at", "absent")),)),
        set={
            "state": State.RETRYING.value,
            "updated_at": now,
            "next_at": due,
            "error": in_brief(error),
            "reason": reason(error),
            "ttl": record_ttl(due),
            "idx": index_key(delivery.task, State.RETRYING, delivery.job_id),
            "idx_at": now,
            "history": _history(record, State.RETRYING, now, reason(error)),
            **({"timer_until": due} if takes_timer(due, now) else {}),
            **run_attributes,
        },
        remove=("lease_until",),
    )


def end_run_failed(
    delivery: Delivery, record: JobRecord, now: int, *, error: ErrorRecord, run_attributes: Mapping[str, Any]
) -> Write[JobRecord]:
    """Record that a run failed for good."""
    return end_failed(delivery, record, error, now, when=(_holds_lease(delivery),), run_attributes=run_attributes)


def end_cancelled(
    delivery: Delivery,
    record: JobRecord,
    now: int,
    *,
    run_attributes: Mapping[str, Any] | None = None,
    when: Condition | None = None,
) -> Write[JobRecord]:
    """Record that a running job ended because a cancel was asked for; without `when`, only if this delivery runs it."""
    return Write(
        delivery.job_id,
        when=of_task(delivery.task, (_holds_lease(delivery),) if when is None else when),
        set={
            "state": State.CANCELLED.value,
            "finished_at": now,
            "updated_at": now,
            "ttl": record_ttl(now),
            "history": _history(record, State.CANCELLED, now),
            **(run_attributes or {}),
        },
        remove=("lease_until", "next_at", "timer_until"),
    )


def end_failed(
    delivery: Delivery,
    record: JobRecord,
    error: ErrorRecord,
    now: int,
    *,
    when: Condition,
    run_attributes: Mapping[str, Any] | None = None,
) -> Write[JobRecord]:
    """Record a failure under the caller's condition; `record` is empty where the caller does not know it."""
    changed: dict[str, Any] = {
        "state": State.FAILED.value,
        "finished_at": now,
        "updated_at": now,
        "error": error,
        "reason": reason(error),
        **last_message(delivery),
        "ttl": record_ttl(now),
        "idx": index_key(delivery.task, State.FAILED, delivery.job_id),
        "idx_at": now,
        **(run_attributes or {}),
    }
    known = "history" in record
    entry = history_entry(State.FAILED, now, error["attempt"], reason(error))
    return Write(
        delivery.job_id,
        when=of_task(delivery.task, when),
        set={**changed, "history": _history(record, State.FAILED, now, reason(error))} if known else changed,
        default={"attempt": 0, **first_attributes(delivery)},
        append={} if known else {"history": [entry]},
        base=first_history(delivery),
        remove=("lease_until", "next_at", "timer_until"),
    )


def was_recorded(record: JobRecord | None, delivery: Delivery) -> bool:
    """Tell whether a refused end-of-run write had been carried out before, its answer lost."""
    return record is not None and record.get("lease") == delivery.lease and record.get("state") != State.RUNNING.value


def is_asked_to_stop(record: JobRecord, delivery: Delivery) -> bool:
    """Tell whether a run that still holds its lease was asked to stop."""
    return record.get("lease") == delivery.lease and "cancel_requested_at" in record


def _history(record: JobRecord, state: State, now: int, note: str | None = None) -> list[list[Any]]:
    return history_and(record, history_entry(state, now, record.get("attempt", 0), note))
