"""Powertools' idempotency, over three steps of the worker: claim the job, run its function, record the end.

Powertools drives the order: save in progress, run, then save the success or delete the record. A store plugs in as a
persistence layer. This layer hands each of Powertools' calls to a step of the worker and keeps how the step came out.
`docs/decisions.md` says how the layer differs from Powertools' own for DynamoDB.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from offload.runtime.outcomes import Claimed
from offload.runtime.powertools import (
    BasePersistenceLayer,
    DataRecord,
    IdempotencyConfig,
    IdempotencyHandler,
    IdempotencyItemAlreadyExistsError,
    IdempotencyPersistenceLayerError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from offload.core.records import JobRecord
    from offload.runtime.outcomes import EndOutcome, NotClaimed, Run


class ClaimRunEnd(BasePersistenceLayer):
    """The steps of one job, as a persistence layer.

    Attributes:
        outcome: How the last step came out: the claim when it was refused, else the end.
    """

    outcome: Claimed | NotClaimed | EndOutcome

    def __init__(
        self,
        *,
        claim: Callable[[], Claimed | NotClaimed],
        run: Callable[[Claimed], Run],
        end: Callable[[JobRecord, Run], EndOutcome],
    ) -> None:
        """Take the steps."""
        super().__init__()  # type: ignore[no-untyped-call]  # Powertools leaves it untyped
        self._claim, self._run, self._end = claim, run, end
        self._claimed = Claimed({})
        self._ran: Run | None = None

    def take(self, job_id: str, context: Any) -> NotClaimed | EndOutcome:
        """Take the steps in Powertools' order, and return how the last one came out.

        Args:
            job_id: The job.
            context: The Lambda context.

        Raises:
            Unavailable: The job table did not answer.
            Refused: The job table refused a write.
        """
        config = IdempotencyConfig()
        config.register_lambda_context(context)
        handler = IdempotencyHandler(
            function=self._call,
            function_payload={"id": job_id},
            config=config,
            persistence_store=self,
            function_args=(),
            function_kwargs={},
        )
        try:
            handler.handle()
        except _RunFailed:
            pass  # the end that was recorded says it
        except IdempotencyPersistenceLayerError as wrapped:
            # What a step raised is no matter of Powertools: an error of a service, or a defect of this library.
            raise wrapped.__cause__ or wrapped from None
        assert not isinstance(self.outcome, Claimed)  # a claim is followed by a run and its end
        return self.outcome

    def _call(self) -> None:
        self._ran = self._run(self._claimed)
        if self._ran.error is not None:
            raise _RunFailed

    def save_inprogress(self, data: dict[str, Any], remaining_time_in_millis: int | None = None) -> None:
        """Claim the job."""
        if remaining_time_in_millis is None:
            raise TypeError("the Lambda context must be registered: without it a lease would have no end")
        self.outcome = self._claim()
        if not isinstance(self.outcome, Claimed):
            # Powertools takes the job for done, and returns without a run.
            raise IdempotencyItemAlreadyExistsError(old_data_record=DataRecord(data["id"], status="COMPLETED"))
        self._claimed = self.outcome

    def save_success(self, data: dict[str, Any], result: Any) -> None:  # noqa: ARG002 - Powertools' signature
        """Record the end of a run that returned."""
        self._record_end()

    def delete_record(self, data: dict[str, Any], exception: Exception) -> None:  # noqa: ARG002 - the same
        """Record the end of a run that raised."""
        self._record_end()

    def _record_end(self) -> None:
        assert self._ran is not None  # Powertools ends what it has run
        self.outcome = self._end(self._claimed.record, self._ran)

    # The base class declares these; nothing calls them, since every path to them is overridden above.
    def _get_record(self, idempotency_key: str) -> DataRecord:
        raise LookupError(idempotency_key)

    def _put_record(self, data_record: DataRecord) -> None:
        raise LookupError(data_record.idempotency_key)

    def _update_record(self, data_record: DataRecord) -> None:
        raise LookupError(data_record.idempotency_key)

    def _delete_record(self, data_record: DataRecord) -> None:
        raise LookupError(data_record.idempotency_key)


class _RunFailed(Exception):
    """Tells Powertools that the run raised."""
