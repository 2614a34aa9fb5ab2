"""A message that waits for a timer fits into the timer, with everything that the message says besides the payload."""

from __future__ import annotations

import pytest

from tests.client.receipts import send

LARGEST_SCHEDULE = 256_000
"""Bytes that EventBridge Scheduler takes: 256 KB, read as the smaller of the two numbers that this can mean."""


@pytest.mark.parametrize("character", ["a", "é", '"', "\U0001f600"])
@pytest.mark.parametrize("size", [150_000, 199_900, 230_000, 255_900, 262_000, 300_000])
def test_a_message_that_waits_for_a_timer_fits_into_the_timer(deploy, character, size):
    pipeline = deploy(send)

    job = send.options(delay="2h", tenant="acme", expires="1d").delay(character * (size // len(character.encode())))

    ((_, _, body, _),) = pipeline.timers.called("send_at")
    assert len(body.encode()) <= LARGEST_SCHEDULE
    pipeline.run_until_idle()
    assert len(job.result(0).to.encode()) == size
