"""Reading a message's payload, wherever it lies, into the arguments of its job.

A payload can kill the worker that reads it: it takes more memory than the function has, or a validator never returns.
Usually it is read before the claim: nothing is charged for a payload that does not fit, or for a bucket that does not
answer. A message that workers have received and never returned has its job claimed first (`Message.unreturned`).
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

from offload.core.errors import PayloadError, Refused, Unavailable
from offload.core.redaction import learning_secrets
from offload.core.retention import is_old_payload, is_payload_of, payload_key
from offload.runtime.forks import ChildrenEnd
from offload.runtime.outcomes import Ready

if TYPE_CHECKING:
    from offload.core.clock import Clock
    from offload.core.messages.delivery import Delivery
    from offload.core.ports import Blobs
    from offload.core.tasks.task import AnyTask
    from offload.runtime.claims import Claims
    from offload.runtime.invocation import Invocation
    from offload.runtime.outcomes import Claimed, HasEnded, HasFailed, NotClaimed, NotNow
    from offload.runtime.rejections import Rejections

_log = logging.getLogger(__name__)


class Payloads:
    """Reads the payloads of one task's messages."""

    def __init__(
        self, task: AnyTask[Any, Any], blobs: Blobs, claims: Claims, rejections: Rejections, clock: Clock
    ) -> None:
        """Keep what it needs."""
        self.task, self.blobs, self.claims, self.rejections, self.clock = task, blobs, claims, rejections, clock

    def read(self, delivery: Delivery) -> Ready | HasEnded | HasFailed | NotNow:
        """Read a payload before its job is claimed; one that does not fit fails the job.

        Raises:
            Unavailable: The bucket or the table did not answer.
            Refused: One of the two refused.
        """
        if delivery.message.unreturned:
            return Ready(None)
        try:
            return Ready(self._arguments(delivery))
        except PayloadError as misfit:
            return self.rejections.reject_misfit(delivery, misfit)

    def read_claimed(self, claimed: Claimed, delivery: Delivery, invocation: Invocation) -> Claimed | NotClaimed:
        """Read the payload of a job that is claimed. Without a run the claim is released, so no attempt is charged.

        Whatever else is raised, such as by memory that ran out, costs the attempt: it may be raised for ever.

        Raises:
            Unavailable: As in `read`.
            Refused: The same.
        """
        try:
            return claimed._replace(arguments=self._arguments(delivery))
        except PayloadError as misfit:
            self._release(delivery, invocation)
            return self.rejections.reject_misfit(delivery, misfit)
        except (Unavailable, Refused):
            self._release(delivery, invocation)
            raise

    def _arguments(self, delivery: Delivery) -> dict[str, Any]:
        payload = read_payload(delivery, self.blobs, self.clock.now())
        with ChildrenEnd(), learning_secrets():
            return self.task.signature.read(payload)

    def _release(self, delivery: Delivery, invocation: Invocation) -> None:
        spare = invocation.needed_ms(self.task.settings.soft_limit)
        invocation.repeat_until_answered(lambda: self.claims.release(delivery), spare_ms=spare)


def read_payload(delivery: Delivery, blobs: Blobs, now: int) -> dict[str, Any]:
    """Return the arguments by name. A payload that has lain in the bucket for long is written again, to live on.

    Raises:
        PayloadError: `payload_ref` names another object than this job's own, nothing that can be read, something too
            large, or no JSON object.
        Unavailable: The bucket did not answer.
        Refused: The bucket refused for a reason that may pass, such as credentials that have expired.
    """
    message = delivery.message
    if message.payload is not None:
        return message.payload
    assert message.payload_ref is not None  # the contract has one of the two
    ref = message.payload_ref
    # Whoever sends a message writes the reference, and the worker would read it with a role of its own.
    if not (ref["bucket"] == blobs.bucket and is_payload_of(ref["key"], delivery.task, delivery.job_id)):
        own = payload_key(delivery.task, delivery.job_id, 0)
        raise PayloadError(f"payload_ref must name this job's own object in the stack's bucket, such as {own}")
    try:
        raw = blobs.get(ref)
        payload = json.loads(raw)
    except Refused as refused:
        if not refused.lasting:
            raise  # fresh credentials may cure it, so the message waits
        raise PayloadError(f"payload_ref: {refused}") from refused
    except (ValueError, RecursionError) as error:
        raise PayloadError(f"payload_ref: the object is not JSON: {error}") from error
    if not isinstance(payload, dict):
        raise PayloadError("payload_ref: the object must hold a JSON object with the arguments by name")
    if is_old_payload(delivery.enqueued_at, now):
        try:
            blobs.put(ref["key"], raw)
        except (Unavailable, Refused) as error:  # the next attempt tries again
            _log.warning("payload not written again", extra={"job_id": delivery.job_id, "detail": str(error)})
    return payload
