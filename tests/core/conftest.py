from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from offload import use
from offload.core.enqueueing.options import CheckedOptions
from offload.core.enqueueing.request import EnqueueRequest

if TYPE_CHECKING:
    from offload.core.enqueueing.bulk import BulkRequest


class RecordingProducer:
    """Keeps the requests that it is asked to send, and answers each with the text `handle`."""

    def __init__(self) -> None:
        self.sent: list[EnqueueRequest] = []

    def enqueue(self, task: str, payload: dict[str, Any], **options: Any) -> str:
        return self.send(EnqueueRequest(task, payload, CheckedOptions.read(options)))

    async def aenqueue(self, task: str, payload: dict[str, Any], **options: Any) -> str:
        return self.enqueue(task, payload, **options)

    async def asend(self, request: EnqueueRequest) -> str:
        return self.send(request)

    def send(self, request: EnqueueRequest) -> str:
        self.sent.append(request)
        return "handle"

    def send_many(self, bulk: BulkRequest) -> list[str]:
        requests = [bulk.request(call) for call in bulk.calls]
        self.sent += requests
        return ["handle"] * len(requests)


@pytest.fixture
def recording():
    """The producer in force, which sends nothing."""
    producer = RecordingProducer()
    before = use(producer)
    yield producer
    use(before)
