"""Powertools' idempotency over the job record: one claim and one finish, both conditional on the lease.

Powertools drives the order of things (save in progress, run, save success or delete on failure); this layer decides
what each step means for the job. Compared with the stock DynamoDB layer: updates and deletes are conditional on the
lease (a worker that was overtaken writes nothing), the record lives 35 days instead of an hour, nothing is shared
between records, and the lease ends with the invocation, so that a timeout does not lock the job.
"""

from __future__ import annotations

from contextlib import suppress
from enum import IntEnum
from typing import TYPE_CHECKING, Any, NoReturn

from offload.core import claiming, ending
from offload.core.errors import LeaseLost, Refused, Unavailable
from offload.core.following import marked
from offload.core.jobs import State
from offload.core.retry import Again
from offload.core.writes import Conflict
from offload.runtime.failures import describe
from offload.runtime.pace import slot_for
from offload.runtime.powertools import BasePersistenceLayer, DataRecord, IdempotencyItemAlreadyExistsError

if TYPE_CHECKING:
    from offload.core.clock import Clock
    from offload.core.delivery import Delivery
    from offload.core.jobs import Item
    from offload.core.ports import Blobs, JobStore
    from offload.core.tasks import Task
    from offload.core.writes import Write
    from offload.runtime.invocation import Invocation
    from offload.runtime.running import RunningJob

INLINE_RESULT = 8_192
"""Bytes of result kept in the record. A record write costs a unit per KB, an S3 PUT as much as eight units."""

_GRACE_MS = 1_000
_ROUNDS = 5
"""Times a claim is decided anew when others change the record meanwhile."""


class Turn(IntEnum):
    """When in its batch a message is met; what is put off waits for a later turn."""

    FIRST = 1
    AGAIN = 2
    """After the batch: a claim whose answer was lost, insisted on because it holds up no other message."""
    LAST = 3
    """After everything else: a job on which an earlier worker died."""


class Deferred(Exception):
    """Claim the job at a later turn.

    Attributes:
        turn: Which.
    """

    def __init__(self, turn: Turn) -> None:
        """Keep the turn."""
        super().__init__(turn.name)
        self.turn = turn


class HandedBack(Exception):
    """The job does not run now.

    Attributes:
        verdict: `Wait` or `Bury`.
    """

    def __init__(self, verdict: claiming.Wait | claiming.Bury) -> None:
        """Keep the verdict."""
        super().__init__(type(verdict).__name__)
        self.verdict = verdict


class JobRecord(BasePersistenceLayer):
    """The persistence layer of one delivery.

    Attributes:
        item: The record after the claim.
        after: The record as it was last seen: after the end, or as it refused the claim.
        dropped: State of a job that had ended before; its message is a duplicate.
        due: When the next attempt runs, after a failed one; None when there is none.
        ended: State the run's end was recorded with.
        running: The run, set by the worker once the claim is in force.
    """

    def __init__(
        self,
        delivery: Delivery,
        task: Task[Any, Any],
        *,
        store: JobStore,
        blobs: Blobs,
        clock: Clock,
        invocation: Invocation,
        turn: Turn,
        parked: dict[str, str],
    ) -> None:
        """Bind to one delivery, met at a turn of its batch; `parked` says where its message lies."""
        super().__init__()  # type: ignore[no-untyped-call]  # Powertools leaves it untyped
        self._delivery, self._task, self._turn, self._parked = delivery, task, turn, parked
        self._store, self._blobs, self._clock, self._invocation = store, blobs, clock, invocation
        self._kept: dict[str, Any] = {}
        self.item: Item = {}
        self.after: Item = {}
        self.dropped: State | None = None
        self.due: int | None = None
        self.ended: State | None = None
        self.error: dict[str, Any] | None = None
        self.running: RunningJob | None = None
        self.extra: dict[str, Any] = {}

    def save_inprogress(self, data: dict[str, Any], remaining_time_in_millis: int | None = None) -> None:  # noqa: ARG002
        """Claim the job for the rest of the invocation.

        Raises:
            IdempotencyItemAlreadyExistsError: The job has ended; `dropped` says how.
            Deferred: To be tried again after the batch.
            HandedBack: Not to be run now.
            Unavailable: The table did not answer. If it carried the claim out all the same, and `give_back` could not
                reach it either, an attempt is charged that never ran; nothing more can be known.
        """
        if remaining_time_in_millis is None:
            raise TypeError("the Lambda context must be registered: without it a lease would have no end")
        attempts = self._task.settings.retry.max_attempts
        now = self._clock.now()
        lease_until = now + remaining_time_in_millis + _GRACE_MS
        limit = self._task.settings.rate_limit
        if limit is not None:
            slot = slot_for(self._delivery, limit, self._store, now, attempts)
            if slot is not None:
                raise HandedBack(claiming.Wait(slot, "waits for the rate limit"))
        write = claiming.claim(self._delivery, now, lease_until, attempts)
        for _ in range(_ROUNDS):
            try:
                self.item = self._try(write)
                return  # noqa: TRY300 - the loop goes on below
            except Conflict as conflict:
                if conflict.item is None:
                    continue  # deleted meanwhile: claim it anew
                verdict = claiming.meet(conflict.item, self._delivery, now, lease_until, attempts)
                if isinstance(verdict, claiming.Ours):
                    self.item = conflict.item
                    return
                self.after = conflict.item
                write = self._next(verdict)
        raise HandedBack(claiming.Wait(now + _GRACE_MS, "the record keeps changing"))

    def _try(self, claim: Write) -> Item:
        """Carry out a claim.

        One whose answer was lost may be in force. It is tried again under the same lease, by which it knows itself, but
        only when it holds up no other message of the batch.
        """
        try:
            if self._turn is Turn.FIRST:
                return self._store.apply(claim)
            needed = self._invocation.needed_ms(self._task.settings.soft_limit)
            return self._invocation.insist(lambda: self._store.apply(claim), spare_ms=needed)
        except Unavailable:
            if self._turn is Turn.FIRST:
                raise Deferred(Turn.AGAIN) from None
            self.give_back()
            raise

    def give_back(self) -> None:
        """Undo this delivery's claim, if it is in force although its answer was lost.

        Raises:
            Unavailable: The table did not answer.
        """
        with suppress(Conflict):
            self._store.apply(claiming.give_back(self._delivery, self._clock.now()))

    def _next(self, verdict: claiming.Verdict) -> Write:
        """Return the claim to try next, or raise what the verdict means."""
        match verdict:
            case claiming.Claim():
                if verdict.suspect and self._turn is not Turn.LAST:
                    raise Deferred(Turn.LAST) from None
                return verdict.write
            case claiming.Drop():
                self.dropped = verdict.state
                raise IdempotencyItemAlreadyExistsError(old_data_record=self._complete()) from None
            case claiming.Cancel():
                self._apply_or_look_again(verdict.write)
                self.ended = State.CANCELLED
                raise IdempotencyItemAlreadyExistsError(old_data_record=self._complete()) from None
            case claiming.Fail():
                return self._bury_with(verdict.write)
            case claiming.Bury():
                if verdict.adopt is not None:
                    self._apply_or_look_again(verdict.adopt)
                raise HandedBack(verdict) from None
            case claiming.Wait():
                raise HandedBack(verdict) from None
            case claiming.Ours():
                raise AssertionError(verdict)

    def _complete(self) -> DataRecord:
        return DataRecord(self._delivery.job_id, status="COMPLETED")

    def _bury_with(self, write: Write) -> NoReturn:
        self._apply_or_look_again(marked(write, self._task.settings))
        self.ended = State.FAILED
        self.error = dict(write.set["error"])
        raise HandedBack(claiming.Bury())

    def _apply_or_look_again(self, write: Write) -> None:
        try:
            self.after = self._store.apply(write)
        except Conflict:
            raise HandedBack(claiming.Wait(self._clock.now(), "the record changed")) from None

    def keep(self, result: str) -> None:
        """Keep a result, given as JSON text, for the write that ends the run; a large one goes to the bucket now.

        Raises:
            Refused: The bucket does not take it. Like every error of a run, it fails the attempt.
            Unavailable: The bucket did not answer while there was time; the same.
        """
        raw = result.encode()
        if len(raw) <= INLINE_RESULT:
            self._kept = {} if result == "null" else {"result": result}
            return
        days = -(-int(self._task.settings.result_life) // 86_400)
        # The lease in the key keeps an overtaken worker from replacing the winner's result.
        key = f"results/{days}d/{self._task.name}/{self._delivery.job_id}/{self._delivery.token}.json"
        try:
            self._kept = {"result_ref": self._invocation.insist(lambda: self._blobs.put(key, raw))}
        except (Refused, Unavailable) as trouble:
            kind = Refused if isinstance(trouble, Refused) else Unavailable
            raise kind(f"the result of {len(raw)} bytes could not be stored: {trouble}") from trouble

    def save_success(self, data: dict[str, Any], result: Any) -> None:  # noqa: ARG002 - delivery and result are kept
        """Record the success.

        Raises:
            LeaseLost: This run was overtaken; nothing was recorded.
            Unavailable: The table did not answer while there was time; the success is not recorded.
        """
        now = self._clock.now()
        until = now + int(self._task.settings.result_life * 1000)
        write = ending.succeed(
            self.item, self._delivery, now, result=self._kept, extra=self._extra(), result_until=until
        )
        self._end(write, State.SUCCEEDED)

    def delete_record(self, data: dict[str, Any], exception: Exception) -> None:  # noqa: ARG002 - the same
        """Record the failed attempt: retry, fail or, when that was asked for, cancel.

        Raises:
            LeaseLost: This run was overtaken; nothing was recorded.
            Unavailable: The table did not answer while there was time.
        """
        if isinstance(exception, LeaseLost):
            raise exception
        now = self._clock.now()
        attempt = int(self.item["attempt"])
        error = exception.cause if isinstance(exception, Died) else exception
        self.error = describe(error, attempt)
        decision = self._task.settings.retry.decide(error, attempt, self._invocation.rng)
        extra = self._extra()
        if isinstance(decision, Again):
            due = now + int(decision.delay * 1000)
            write = ending.retry_at(
                self.item, self._delivery, now, error=self.error, due=due, extra=extra, parked=self._parked
            )
            try:
                self._end(write, State.RETRYING)
            except _CancelAsked:
                self._end(ending.cancelled(self.item, self._delivery, now, extra=extra), State.CANCELLED)
            else:
                self.due = due
        else:
            write = ending.fail(self.item, self._delivery, now, error=self.error, extra=extra)
            self._end(write, State.FAILED)

    def _extra(self) -> dict[str, Any]:
        return {**self.extra, **(self.running.last_said() if self.running else {})}

    def _end(self, write: Write, state: State) -> None:
        # What the run did is done: unless this is written, it is done again, or told as a failure. Nobody else takes
        # the job meanwhile, because the lease lasts as long as the invocation.
        write = marked(write, self._task.settings)
        try:
            self.after = self._invocation.insist(lambda: self._store.apply(write))
        except Conflict as conflict:
            item = conflict.item
            if not ending.applied(item, self._delivery):
                if item is not None and item.get("lease") == self._delivery.token and "cancel_requested_at" in item:
                    raise _CancelAsked from None
                raise LeaseLost(f"job {self._delivery.job_id}: another worker holds it now") from conflict
            self.after = item or {}
        self.ended = state

    # The base class declares these; every path to them is overridden above.
    def _get_record(self, idempotency_key: str) -> DataRecord:
        raise LookupError(idempotency_key)

    def _put_record(self, data_record: DataRecord) -> None:
        raise LookupError(data_record.idempotency_key)

    def _update_record(self, data_record: DataRecord) -> None:
        raise LookupError(data_record.idempotency_key)

    def _delete_record(self, data_record: DataRecord) -> None:
        raise LookupError(data_record.idempotency_key)


class Died(Exception):
    """A task raised something that is not an `Exception`, such as `SystemExit`.

    Attributes:
        cause: What it raised.
    """

    def __init__(self, cause: BaseException) -> None:
        """Keep what was raised; its text may raise again, so it is not asked for."""
        super().__init__(type(cause).__name__)
        self.cause = cause


class _CancelAsked(Exception):
    pass
