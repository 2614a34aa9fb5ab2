"""Reading a message's payload, wherever it lies."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from offload.core.errors import PayloadError, Refused

if TYPE_CHECKING:
    from offload.core.messages.message import Message
    from offload.core.ports import Blobs


def read_payload(message: Message, blobs: Blobs) -> dict[str, Any]:
    """Return the arguments by name.

    Raises:
        PayloadError: `payload_ref` names nothing that can be read, or no JSON object.
        Unavailable: The bucket did not answer.
    """
    if message.payload is not None:
        return message.payload
    assert message.payload_ref is not None  # the contract has one of the two
    try:
        payload = json.loads(blobs.get(message.payload_ref))
    except Refused as gone:
        raise PayloadError(f"payload_ref: {gone}") from gone
    except (ValueError, RecursionError) as error:
        raise PayloadError(f"payload_ref: the object is not JSON: {error}") from error
    if not isinstance(payload, dict):
        raise PayloadError("payload_ref: the object must hold a JSON object with the arguments by name")
    return payload
