"""Powertools' batch processing: the messages of an invocation in our order, and the partial batch response."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from offload.core.ports import ReceivedMessage
from offload.runtime.outcomes import BatchAnswer, BatchPass, Postponed
from offload.runtime.powertools import BatchProcessor, EventType, process_partial_response

if TYPE_CHECKING:
    from collections.abc import Callable

    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

    Handle = Callable[[ReceivedMessage, BatchPass], BatchAnswer | Postponed]
    ReportDefect = Callable[[Exception, str], None]


def process_batch(event: dict[str, Any], context: Any, handle: Handle, report_defect: ReportDefect) -> dict[str, Any]:
    """Handle each message of a batch: the most-received first, then pass after pass those that were postponed.

    Args:
        event: The Lambda event.
        context: The Lambda context.
        handle: Handles one message in a pass.
        report_defect: Is told what could not be read, or what `handle` raised, and the message's id. Such a message
            counts as `BatchAnswer.NOT_DONE`: one message must not take the rest of its batch along.

    Returns:
        The partial batch response: `{"batchItemFailures": [{"itemIdentifier": message_id}, ...]}`.
    """
    batch = _Batch(handle, report_defect)
    response = process_partial_response(
        event=event, record_handler=batch.handle_record, processor=batch, context=context
    )
    return dict(response)


class _Batch(BatchProcessor):
    def __init__(self, handle: Handle, report_defect: ReportDefect) -> None:
        super().__init__(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
        self._handle, self._report_defect = handle, report_defect
        self._pass = BatchPass.FIRST
        self._postponed: dict[BatchPass, list[dict[str, Any]]] = {each: [] for each in BatchPass}
        self._current: dict[str, Any] = {}

    def process(self) -> list[tuple[Any, ...]]:
        """Handle all records; Powertools calls it."""
        # With the most-received first, none is left to the end of its batch for ever.
        self._postponed[BatchPass.FIRST] = sorted(self.records, key=_receives, reverse=True)
        outcomes: list[tuple[Any, ...]] = []
        for self._pass in BatchPass:
            outcomes += [self._process_one(record) for record in self._postponed[self._pass]]
        return outcomes

    def _process_one(self, record: dict[str, Any]) -> tuple[Any, ...]:
        self._current = record
        return tuple(self._process_record(record))

    def handle_record(self, record: SQSRecord) -> None:
        """Handle one record; Powertools takes what raises for failed."""
        try:
            outcome = self._handle(received_message(self._current), self._pass)
        except Exception as defect:
            self._report_defect(defect, record.message_id)
            raise
        if isinstance(outcome, Postponed):
            self._postponed[outcome.batch_pass].append(self._current)
        elif outcome is BatchAnswer.NOT_DONE:
            raise _NotDone


class _NotDone(Exception):
    """Tells Powertools that a message is not done."""


def _receives(record: dict[str, Any]) -> int:
    return int(record["attributes"]["ApproximateReceiveCount"])


def received_message(record: dict[str, Any]) -> ReceivedMessage:
    """Read a record of a Lambda event."""
    attributes = record["attributes"]
    return ReceivedMessage(
        queue=record["eventSourceARN"].rpartition(":")[2],
        message_id=record["messageId"],
        receipt=record["receiptHandle"],
        body=record["body"],
        sent_at=int(attributes["SentTimestamp"]),
        first_received_at=int(attributes["ApproximateFirstReceiveTimestamp"]),
        receives=_receives(record),
    )
