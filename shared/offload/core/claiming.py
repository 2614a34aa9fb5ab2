"""Claiming: what a delivery of a message means for its job.

A worker first tries `claim`, which succeeds for a job that is due. When the record says otherwise the store hands back
the record and `meet` decides, case by case:

| the record says                         | then                                                              |
|-----------------------------------------|-------------------------------------------------------------------|
| RUNNING under this very lease           | `Ours`: the claim was applied although its answer was lost        |
| SUCCEEDED, CANCELLED, EXPIRED           | `Drop`: a duplicate; acknowledge it, run nothing                  |
| FAILED, this message, a copy or older   | `Bury`: fail it again until the queue moves it to the DLQ         |
| FAILED, a message sent after the failure| `Claim`: it was redriven; fresh attempts, history kept            |
| RUNNING, lease alive                    | `Wait` for the lease; deleting the message would lose the job     |
| RUNNING, lease over, a cancel asked for | `Cancel`: its worker died before it could heed it                 |
| RUNNING, given back                     | `Claim`: its run never began                                      |
| RUNNING, lease over, attempts left      | `Claim`: its worker died; run it last in the batch                |
| RUNNING, lease over, none left          | `Fail`: its worker died on the last attempt                       |
| RETRYING, not due                       | `Wait` until it is                                                |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from offload.core.delivery import NOT_STARTED, life
from offload.core.ending import cancelled, failed
from offload.core.jobs import Item, State, transition
from offload.core.writes import Condition, Test, Write, holds

if TYPE_CHECKING:
    from offload.core.delivery import Delivery

_GIVEN_BACK = ""
"""The lease of a claim that was given back."""

EARLY_MS = 2_000
"""A message may come back this much before its time: visibility counts whole seconds and clocks differ a little."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Try this claim; `suspect` when an earlier worker died on the job."""

    write: Write
    suspect: bool


@dataclass(frozen=True, slots=True)
class Ours:
    """The claim is in force: run."""


@dataclass(frozen=True, slots=True)
class Drop:
    """Acknowledge the message; the job has ended."""

    state: State


@dataclass(frozen=True, slots=True)
class Bury:
    """Fail the message again, so that the queue moves it to its dead-letter queue; carry out `adopt` first, if any."""

    adopt: Write | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """Not now: hand the message back until epoch milliseconds `until`."""

    until: int
    why: str


@dataclass(frozen=True, slots=True)
class Fail:
    """Record the failure, then bury the message."""

    write: Write


@dataclass(frozen=True, slots=True)
class Cancel:
    """Record the cancellation, then acknowledge the message."""

    write: Write


Verdict = Claim | Ours | Drop | Bury | Wait | Fail | Cancel


def claim(delivery: Delivery, now: int, lease_until: int, max_attempts: int) -> Write:
    """Claim a job that is due: the attempt is charged here, right before the user's function starts."""
    due: Condition = ((Test("state", "=", State.RETRYING.value), Test("next_at", "<=", now + EARLY_MS)),)
    return _claim(delivery, now, lease_until, max_attempts, when=(*NOT_STARTED, *due))


def _claim(
    delivery: Delivery,
    now: int,
    lease_until: int,
    max_attempts: int,
    *,
    when: Condition,
    fresh: bool = False,
    note: str | None = None,
    attempt: int | None = None,
) -> Write:
    changed: dict[str, Any] = {
        "state": State.RUNNING.value,
        "started_at": now,
        "updated_at": now,
        "lease": delivery.token,
        "lease_until": lease_until,
        "message_id": delivery.message_id,
        "max_attempts": max_attempts,
        "ttl": life(now),
    }
    if fresh:
        changed["attempt"] = 1
    # The number of the attempt is known only to the store; the entry says it where it is known here.
    entry = transition(State.RUNNING, now, attempt or 0, note)
    return Write(
        delivery.job_id,
        when=when,
        set=changed,
        default=delivery.facts,
        add={"redrives": 1} if fresh else {"attempt": 1},
        append={"history": [entry]},
        base=delivery.beginning,
        remove=(
            "next_at",
            "parked",
            "slot_at",
            "idx",
            "idx_at",
            *(("finished_at", "reason", "cancel_requested_at", "follow_up", "message_at") if fresh else ()),
        ),
    )


def give_back(delivery: Delivery, now: int) -> Write:
    """Undo a claim that may be in force although its answer was lost: no run has begun, so no attempt is charged."""
    return Write(
        delivery.job_id,
        when=((Test("state", "=", State.RUNNING.value), Test("lease", "=", delivery.token)),),
        set={"lease": _GIVEN_BACK, "lease_until": now, "updated_at": now},
        add={"attempt": -1},
    )


def startable(item: Item | None, delivery: Delivery, now: int, max_attempts: int) -> bool:
    """Tell whether a delivery would start its job now, as the record stands."""
    if holds(claim(delivery, now, now, max_attempts).when, item):
        return True
    return item is not None and isinstance(meet(item, delivery, now, now, max_attempts), Claim)


def meet(item: Item, delivery: Delivery, now: int, lease_until: int, max_attempts: int) -> Verdict:
    """Decide what a delivery means whose claim the record refused; see the module's table."""
    state = State(item["state"])
    if state is State.RUNNING:
        return _meet_running(item, delivery, now, lease_until, max_attempts)
    if state is State.FAILED:
        if adopted := adoption(item, delivery):
            return Bury(adopted)
        if not _sent_after(delivery, item, max(item.get("finished_at", 0), item.get("message_at", 0))):
            return Bury()
        return Claim(
            _claim(
                delivery,
                now,
                lease_until,
                max_attempts,
                when=_still_failed(item),
                fresh=True,
                note="redriven",
                attempt=1,
            ),
            suspect=False,
        )
    if state.terminal:
        return Drop(state)
    # Only RETRYING before its time is left: PENDING and SCHEDULED would have been claimed, unless the record changed
    # between the refused claim and this answer, in which case looking again at once is right.
    return Wait(item.get("next_at", now), "not due yet")


def adoption(item: Item, delivery: Delivery) -> Write | None:
    """Return the write by which a failed job's record learns the message that took the failed one's place, if it did.

    A redrive of the copy has the same body as the copy: only the new message id tells the two apart. A late delivery of
    a message between the two, itself a copy that was sent after the failure, is told from a redrive by its age.
    """
    if item.get("message_id") not in delivery.message.renewed:
        return None
    # A worker that stood still must not put back an older copy in the place of the one known by then.
    ((*failed_since,),) = _still_failed(item)
    seen = Test("message_id", "=", item["message_id"])
    adopted = {"message_id": delivery.message_id, "message_at": delivery.sent_at}
    return Write(delivery.job_id, when=((*failed_since, seen),), set=adopted)


def _still_failed(item: Item) -> Condition:
    return ((Test("state", "=", State.FAILED.value), Test("finished_at", "=", item.get("finished_at", 0))),)


def _meet_running(item: Item, delivery: Delivery, now: int, lease_until: int, max_attempts: int) -> Verdict:
    lease, lease_end, attempt = item.get("lease", ""), item.get("lease_until", 0), item.get("attempt", 0)
    if lease == delivery.token:
        return Ours()
    if lease_end > now:
        return Wait(lease_end + 1_000, "another worker holds the job")
    redriven = _sent_after(delivery, item, lease_end)
    same: Condition = ((Test("state", "=", State.RUNNING.value), Test("lease", "=", lease)),)
    if "cancel_requested_at" in item and not redriven:
        return Cancel(cancelled(item, delivery, now, when=same))
    if attempt >= max_attempts and not redriven:
        return Fail(_lost(item, delivery, now, when=same))
    died = lease != _GIVEN_BACK
    note = "the worker before it died" if died else "its last start was given back"
    write = _claim(
        delivery,
        now,
        lease_until,
        max_attempts,
        when=same,
        fresh=redriven,
        note="redriven" if redriven else note,
        attempt=1 if redriven else attempt + 1,
    )
    return Claim(write, suspect=died)


def _sent_after(delivery: Delivery, item: Item, moment: int) -> bool:
    # A redrive sends a new message with a new id; a second copy of the original is older than the failure.
    own = {delivery.message_id, *delivery.message.renewed}
    return item.get("message_id") not in own and delivery.sent_at > moment


def _lost(item: Item, delivery: Delivery, now: int, *, when: Condition) -> Write:
    attempt = item.get("attempt", 0)
    error = {
        "type": "WorkerLost",
        "message": "the worker was killed, timed out or ran out of memory, or could not record how the run ended",
        "traceback": "",
        "attempt": attempt,
    }
    return failed(delivery, item, error, now, when=when)
