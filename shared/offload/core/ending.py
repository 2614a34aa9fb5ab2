"""Ending: what is recorded when a job is accepted, and when a run or a job comes to its end.

The end of a run is conditional on the lease the run holds: a worker that was overtaken records nothing. A write whose
answer was lost is recognised on the second try by the lease in the record (`applied`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from offload.core.delivery import NOT_STARTED, life, message_facts
from offload.core.jobs import Item, State, index_key, numbered, transition
from offload.core.writes import Condition, Test, Write

if TYPE_CHECKING:
    from offload.core.delivery import Delivery
    from offload.core.messages import Message

_KEEP_FIRST, _KEEP_LAST = 4, 20
"""History entries kept; those between fall away, so that a record stays small whatever happens to its job."""


def accept(task: str, job_id: str, message: Message, now: int, *, due: int | None, max_attempts: int | None) -> Write:
    """Record a job that was just enqueued; the worker may have been faster, and then nothing is written.

    Args:
        task: Task name.
        job_id: Job id.
        message: The message that was sent.
        now: Epoch milliseconds.
        due: When a delayed job starts; None for at once.
        max_attempts: Attempts allowed, where the producer knows.
    """
    state = State.PENDING if due is None else State.SCHEDULED
    record: dict[str, Any] = {
        "task": task,
        "state": state.value,
        "attempt": 0,
        "created_at": message.enqueued_at or now,
        "updated_at": now,
        "ttl": life(max(now, due or 0)),
        "history": [transition(state, now, 0)],
        **message_facts(message),
    }
    if max_attempts is not None:
        record["max_attempts"] = max_attempts
    if due is not None:
        record |= {"next_at": due, "idx": index_key(task, state, job_id), "idx_at": due}
    return Write(job_id, when=((Test("id", "absent"),),), set=record)


def expire(delivery: Delivery, now: int) -> Write:
    """End a job that has not started and whose time is over; one that was brought back is past such a limit."""
    return Write(
        delivery.job_id,
        when=tuple((*case, Test("redrives", "absent")) for case in NOT_STARTED),
        set={
            "state": State.EXPIRED.value,
            "finished_at": now,
            "updated_at": now,
            "message_id": delivery.message_id,
            "ttl": life(now),
        },
        default={"attempt": 0, **delivery.facts},
        append={"history": [transition(State.EXPIRED, now, 0)]},
        base=delivery.beginning,
        remove=("next_at", "idx", "idx_at"),
    )


def reject(delivery: Delivery, error: dict[str, Any], now: int, *, readable: bool) -> Write:
    """Fail a message that can never run. No attempt is charged.

    Args:
        delivery: The delivery.
        error: What is wrong with it.
        now: Epoch milliseconds.
        readable: True when the message keeps the contract but its payload does not fit the task (any more): then it
            speaks for its job also after attempts were made. A body that breaks the contract cannot end such a job.
    """
    other_message: Condition = (
        (
            Test("state", "=", State.FAILED.value),
            *(Test("message_id", "<>", own) for own in (delivery.message_id, *delivery.message.renewed)),
            Test("finished_at", "<=", delivery.sent_at),
        ),
    )
    between: Condition = (
        (Test("state", "=", State.RETRYING.value),),
        (Test("state", "=", State.RUNNING.value), Test("lease_until", "<=", now)),
    )
    when = (*NOT_STARTED, *other_message, *(between if readable else ()))
    return failed(delivery, {}, error, now, when=when)


def _held(delivery: Delivery) -> tuple[Test, ...]:
    return (Test("state", "=", State.RUNNING.value), Test("lease", "=", delivery.token))


def succeed(
    item: Item, delivery: Delivery, now: int, *, result: dict[str, Any], extra: dict[str, Any], result_until: int
) -> Write:
    """Record a success.

    Args:
        item: The record as it was after the claim.
        delivery: The delivery that holds the lease.
        now: Epoch milliseconds.
        result: `result` (JSON text) or `result_ref`, or nothing for None.
        extra: `usage` and the last `progress`.
        result_until: When the result expires, epoch milliseconds.
    """
    return Write(
        delivery.job_id,
        when=(_held(delivery),),
        set={
            "state": State.SUCCEEDED.value,
            "finished_at": now,
            "updated_at": now,
            "ttl": max(life(now), result_until // 1000),
            "result_until": result_until,
            "history": _history(item, State.SUCCEEDED, now),
            **result,
            **extra,
        },
        remove=("lease_until", "error", "reason"),
    )


def retry_at(
    item: Item,
    delivery: Delivery,
    now: int,
    *,
    error: dict[str, Any],
    due: int,
    extra: dict[str, Any],
    parked: dict[str, str] | None = None,
) -> Write:
    """Record a failed attempt that will be followed by another at epoch milliseconds `due`.

    Refused when a cancel was asked for meanwhile; then the job ends by `cancelled`.

    Args:
        item: The record as it was after the claim.
        delivery: The delivery that holds the lease.
        now: Epoch milliseconds.
        error: Why the attempt failed.
        due: When the next one starts.
        extra: `usage` and the last `progress`.
        parked: `queue` and `receipt` of the message that waits meanwhile, for a retry by hand.
    """
    return Write(
        delivery.job_id,
        when=((*_held(delivery), Test("cancel_requested_at", "absent")),),
        set={
            "state": State.RETRYING.value,
            "updated_at": now,
            "next_at": due,
            "error": error,
            "reason": reason(error),
            "ttl": life(due),
            "idx": index_key(delivery.task, State.RETRYING, delivery.job_id),
            "idx_at": now,
            "history": _history(item, State.RETRYING, now, reason(error)),
            **({"parked": parked} if parked else {}),
            **extra,
        },
        remove=("lease_until",),
    )


def fail(item: Item, delivery: Delivery, now: int, *, error: dict[str, Any], extra: dict[str, Any]) -> Write:
    """Record the final failure of a run."""
    return failed(delivery, item, error, now, when=(_held(delivery),), extra=extra)


def cancelled(
    item: Item, delivery: Delivery, now: int, *, extra: dict[str, Any] | None = None, when: Condition | None = None
) -> Write:
    """Record that a running job ended because a cancel was asked for; by default the one this delivery runs."""
    return Write(
        delivery.job_id,
        when=(_held(delivery),) if when is None else when,
        set={
            "state": State.CANCELLED.value,
            "finished_at": now,
            "updated_at": now,
            "ttl": life(now),
            "history": _history(item, State.CANCELLED, now),
            **(extra or {}),
        },
        remove=("lease_until", "next_at", "parked"),
    )


def failed(
    delivery: Delivery,
    item: Item,
    error: dict[str, Any],
    now: int,
    *,
    when: Condition,
    extra: dict[str, Any] | None = None,
) -> Write:
    """Record a failure under a condition of the caller's."""
    changed: dict[str, Any] = {
        "state": State.FAILED.value,
        "finished_at": now,
        "updated_at": now,
        "error": error,
        "reason": reason(error),
        "message_id": delivery.message_id,
        "ttl": life(now),
        "idx": index_key(delivery.task, State.FAILED, delivery.job_id),
        "idx_at": now,
        **(extra or {}),
    }
    known = "history" in item
    return Write(
        delivery.job_id,
        when=when,
        set={**changed, "history": _history(item, State.FAILED, now, reason(error))} if known else changed,
        default={"attempt": 0, **delivery.facts},
        append={} if known else {"history": [transition(State.FAILED, now, error["attempt"], reason(error))]},
        base=delivery.beginning,
        remove=("lease_until", "next_at", "parked"),
    )


def applied(item: Item | None, delivery: Delivery) -> bool:
    """Tell whether a refused end-of-run write had been applied before, its answer lost."""
    return item is not None and item.get("lease") == delivery.token and item.get("state") != State.RUNNING.value


def reason(error: dict[str, Any]) -> str:
    """Return an error in one short line, for lists."""
    return f"{error['type']}: {error['message']}".replace("\n", " ")[:200]


def _history(item: Item, state: State, now: int, note: str | None = None) -> list[list[Any]]:
    return history(item, transition(state, now, item.get("attempt", 0), note))


def history(item: Item, entry: list[Any]) -> list[list[Any]]:
    """Return a record's history with one more entry, bounded."""
    return _bounded([*numbered(item), entry])


def _bounded(history: list[list[Any]]) -> list[list[Any]]:
    if len(history) <= _KEEP_FIRST + _KEEP_LAST:
        return history
    return [*history[:_KEEP_FIRST], *history[-_KEEP_LAST:]]
