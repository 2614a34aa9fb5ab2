"""Replacing: messages in their last receives are replaced by copies before anything of a batch runs.

A worker that dies returns no message. If jobs of a batch kill worker after worker, the messages beside them are
received again and again although nobody has looked at them, until SQS moves them to the dead-letter queue.

Any message of the batch may be the one that kills, by its run or by its payload alone. So no payload is looked at here,
and no code of the task runs. Each copy says that workers never returned its message: its job is claimed before its
payload is read, so that a payload that kills is charged an attempt.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from offload.core.errors import Refused, Unavailable
from offload.core.hooks import SERVICE_ERROR
from offload.core.jobs import claiming
from offload.core.messages.waiting import REPLACED_FROM
from offload.runtime.batch import received_message
from offload.runtime.message_returns import log_service_error
from offload.runtime.outcomes import Unreadable

if TYPE_CHECKING:
    from collections.abc import Callable

    from offload.core.clock import Clock
    from offload.core.messages.delivery import Delivery
    from offload.core.ports import ReceivedMessage
    from offload.core.tasks.settings import Settings
    from offload.runtime.claims import Claims
    from offload.runtime.invocation import Invocation
    from offload.runtime.message_returns import MessageReturns
    from offload.runtime.reports import Reports

_log = logging.getLogger(__name__)

_GO_ON = (claiming.Claim, claiming.AlreadyClaimed, claiming.Wait)
"""Decisions after which a job has not ended."""


class Replacements:
    """Replaces the messages of one task in their last receives."""

    def __init__(
        self,
        settings: Settings,
        claims: Claims,
        returns: MessageReturns,
        clock: Clock,
        reports: Reports,
        report_defect: Callable[[Exception, str], None],
    ) -> None:
        """Keep what it needs."""
        self.settings, self.claims, self.returns, self.clock = settings, claims, returns, clock
        self.reports, self.report_defect = reports, report_defect

    def replace(
        self, event: dict[str, Any], decode: Callable[[ReceivedMessage], Delivery | Unreadable], invocation: Invocation
    ) -> frozenset[str]:
        """Replace the messages of a batch that have few receives left; returns the ids of those that were replaced.

        Args:
            event: The Lambda event.
            decode: Reads a message.
            invocation: The invocation.
        """
        return frozenset(
            record["messageId"]
            for record in event.get("Records", ())
            if self._is_near_last_receive(record) and self._replace(record, decode, invocation)
        )

    def _is_near_last_receive(self, record: dict[str, Any]) -> bool:
        # A record that cannot be read fails alone, when its turn comes.
        return int(record.get("attributes", {}).get("ApproximateReceiveCount", 0)) >= REPLACED_FROM

    def _replace(
        self,
        record: dict[str, Any],
        decode: Callable[[ReceivedMessage], Delivery | Unreadable],
        invocation: Invocation,
    ) -> bool:
        try:
            received = received_message(record)
            delivery = decode(received)
            if isinstance(delivery, Unreadable):
                return False
            until = self._waits_until(delivery, invocation)
            if until is None or not self.returns.replace(received, until, invocation):
                return False
        except Exception as defect:  # noqa: BLE001 - one message must not take the rest of its batch along
            self.report_defect(defect, record["messageId"])
            return False
        known = {"job_id": delivery.job_id, "message_id": delivery.message_id}
        _log.info("few receives were left: message replaced before the batch", extra=known)
        return True

    def _waits_until(self, delivery: Delivery, invocation: Invocation) -> int | None:
        """Return until when a job waits, epoch milliseconds, which may be over; None when its message needs no copy."""
        # The jobs of the batch must still find the time to run.
        spare = invocation.needed_ms(self.settings.soft_limit)
        try:
            decision = invocation.repeat_until_answered(lambda: self.claims.expect(delivery), spare_ms=spare)
        except (Unavailable, Refused) as error:
            log_service_error(error, delivery.job_id, delivery.message_id)
            self.reports.message_returned(delivery.job_id, SERVICE_ERROR)
            return self.clock.now()  # nobody can tell: a healthy message must not be lost
        if not isinstance(decision, _GO_ON):
            return None
        return decision.until if isinstance(decision, claiming.Wait) else self.clock.now()
