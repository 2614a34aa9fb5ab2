from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from offload import use

if TYPE_CHECKING:
    from collections.abc import Sequence

    from offload.core.enqueueing.request import EnqueueRequest


class RecordingProducer:
    """Keeps the requests that it is asked to send, and answers each with the text `handle`."""

    def __init__(self) -> None:
        self.sent: list[EnqueueRequest] = []

    def send(self, request: EnqueueRequest) -> str:
        self.sent.append(request)
        return "handle"

    def send_many(self, requests: Sequence[EnqueueRequest]) -> list[str]:
        self.sent += requests
        return ["handle"] * len(requests)


@pytest.fixture
def recording():
    """The producer in force, which sends nothing."""
    producer = RecordingProducer()
    before = use(producer)
    yield producer
    use(before)
