"""Powertools' idempotency over the job record: one claim and one finish, both conditional on the lease.

Powertools drives the order of things (save in progress, run, save success or delete on failure); this layer decides
what each step means for the job. Compared with the stock DynamoDB layer: updates and deletes are conditional on the
lease (a worker that was overtaken writes nothing), the record lives 35 days instead of an hour, nothing is shared
between records, and the lease ends with the invocation, so that a timeout does not lock the job.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from offload.core import claiming, ending
from offload.core.errors import LeaseLost
from offload.core.following import marked
from offload.core.jobs import State
from offload.core.retry import Again
from offload.core.writes import Conflict
from offload.runtime.failures import describe
from offload.runtime.pace import slot_for
from offload.runtime.powertools import BasePersistenceLayer, DataRecord, IdempotencyItemAlreadyExistsError

if TYPE_CHECKING:
    import random

    from offload.core.clock import Clock
    from offload.core.delivery import Delivery
    from offload.core.jobs import Item
    from offload.core.ports import Blobs, JobStore
    from offload.core.tasks import Task
    from offload.core.writes import Write
    from offload.runtime.running import RunningJob

INLINE_RESULT = 8_192
"""Bytes of result kept in the record. A record write costs a unit per KB, an S3 PUT as much as eight units."""

_GRACE_MS = 1_000
_ROUNDS = 5
"""Times a claim is decided anew when others change the record meanwhile."""


class Deferred(Exception):
    """An earlier worker died on this job; claim it when the rest of the batch is done."""


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
        rng: random.Random,
        last: bool,
    ) -> None:
        """Bind to one delivery; `last` says that the rest of its batch is done."""
        super().__init__()  # type: ignore[no-untyped-call]  # Powertools leaves it untyped
        self._delivery, self._task, self._last = delivery, task, last
        self._store, self._blobs, self._clock, self._rng = store, blobs, clock, rng
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
            Unavailable: The table did not answer; nothing is known to be charged.
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
                self.item = self._store.apply(write)
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

    def _next(self, verdict: claiming.Verdict) -> Write:
        """Return the claim to try next, or raise what the verdict means."""
        match verdict:
            case claiming.Claim():
                if verdict.suspect and not self._last:
                    raise Deferred from None
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

    def save_success(self, data: dict[str, Any], result: Any) -> None:  # noqa: ARG002 - the delivery is bound
        """Record the success; `result` is the task's return value as JSON text.

        Raises:
            LeaseLost: This run was overtaken; nothing was recorded.
            Unavailable: The table did not answer; the success is not recorded.
        """
        text: str = result
        now = self._clock.now()
        kept: dict[str, Any] = {}
        raw = text.encode()
        if len(raw) > INLINE_RESULT:
            days = -(-int(self._task.settings.result_life) // 86_400)
            # The lease in the key keeps an overtaken worker from replacing the winner's result.
            key = f"results/{days}d/{self._task.name}/{self._delivery.job_id}/{self._delivery.token}.json"
            kept = {"result_ref": self._blobs.put(key, raw)}
        elif text != "null":
            kept = {"result": text}
        until = now + int(self._task.settings.result_life * 1000)
        write = ending.succeed(self.item, self._delivery, now, result=kept, extra=self._extra(), result_until=until)
        self._end(write, State.SUCCEEDED)

    def delete_record(self, data: dict[str, Any], exception: Exception) -> None:  # noqa: ARG002 - the same
        """Record the failed attempt: retry, fail or, when that was asked for, cancel.

        Raises:
            LeaseLost: This run was overtaken; nothing was recorded.
            Unavailable: The table did not answer.
        """
        if isinstance(exception, LeaseLost):
            raise exception
        now = self._clock.now()
        attempt = int(self.item["attempt"])
        self.error = describe(
            exception.__cause__ if isinstance(exception, Died) and exception.__cause__ else exception, attempt
        )
        decision = self._task.settings.retry.decide(exception, attempt, self._rng)
        extra = self._extra()
        if isinstance(decision, Again):
            due = now + int(decision.delay * 1000)
            write = ending.retry_at(self.item, self._delivery, now, error=self.error, due=due, extra=extra)
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
        try:
            self.after = self._store.apply(marked(write, self._task.settings))
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
    """A task raised something that is not an `Exception`, such as `SystemExit`; the cause is the original."""


class _CancelAsked(Exception):
    pass
