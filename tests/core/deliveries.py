"""What the tests of the core share: a delivery of a job's message, a claim, and a table that holds the job's record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from offload.core.jobs.claiming import ClaimRequest
from offload.core.messages.delivery import Delivery
from offload.core.messages.message import Message
from offload.core.writes import Conflict, Write
from offload.memory.clock import VirtualClock
from offload.memory.table import MemoryTable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from offload.core.records import JobRecord

NOW = 1_767_225_600_000
LEASE_UNTIL = NOW + 60_000


def delivery(*, lease: str = "mine", message_id: str = "m1", sent_at: int = NOW, **message: Any) -> Delivery:
    """Return a delivery of the job `job` of the task `work`; `message` has further fields of the message."""
    body = Message(payload={}, id="job", **message)
    return Delivery("work", "job", message_id, body, sent_at, lease)


def claim_request(given: Delivery, *, now: int = NOW, max_attempts: int = 3) -> ClaimRequest:
    """Return what a worker asks for when it claims the job of a delivery."""
    return ClaimRequest(given, now, LEASE_UNTIL, max_attempts)


def table_with(record: Mapping[str, Any] | None) -> MemoryTable:
    """Return a table that holds one record, or none."""
    table = MemoryTable(VirtualClock(NOW))
    if record is not None:
        table.apply(Write(record["id"], set={name: value for name, value in record.items() if name != "id"}))
    return table


def carried_out(write: Write[JobRecord], record: Mapping[str, Any] | None) -> JobRecord | None:
    """Carry out a write on a record and return the record after it; None when the write is refused."""
    try:
        return table_with(record).apply(write)
    except Conflict:
        return None
