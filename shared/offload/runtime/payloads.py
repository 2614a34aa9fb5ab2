"""Reading a message's payload, wherever it lies."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

from offload.core.errors import PayloadError, Refused, Unavailable
from offload.core.retention import is_old_payload, is_payload_of, payload_key

if TYPE_CHECKING:
    from offload.core.messages.delivery import Delivery
    from offload.core.ports import Blobs

_log = logging.getLogger(__name__)


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
