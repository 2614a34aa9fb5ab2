"""What the twin of the bucket has beyond the contract: it forgets what the lifecycle rules delete."""

from __future__ import annotations

import pytest

from offload.core.errors import Refused
from offload.core.retention import DAY
from offload.memory.blobs import MemoryBlobs
from offload.memory.clock import VirtualClock


def test_an_object_is_deleted_at_the_first_midnight_after_its_days():
    clock = VirtualClock()
    blobs = MemoryBlobs(clock=clock)
    blobs.days_kept = lambda key: 7 if key.startswith("results/") else None
    clock.advance(3600)
    old, kept = blobs.put("results/7d/a.json", b"1"), blobs.put("uploads/a.png", b"2")
    clock.advance(7 * DAY)
    assert blobs.get(old) == b"1", "S3 rounds up to the next midnight"
    clock.advance(23 * 3600)
    with pytest.raises(Refused, match=r"nothing is stored at memory/results/7d/a\.json"):
        blobs.get(old)
    assert blobs.keys() == ["uploads/a.png"]
    assert blobs.get(kept) == b"2"


def test_an_object_that_is_written_again_lives_on():
    clock = VirtualClock()
    blobs = MemoryBlobs(clock=clock)
    blobs.days_kept = lambda _key: 1
    blobs.put("a", b"1")
    clock.advance(DAY - 1)
    again = blobs.put("a", b"2")
    clock.advance(DAY)
    assert blobs.get(again) == b"2"


def test_a_deleted_object_is_gone():
    blobs = MemoryBlobs()
    reference = blobs.put("a", b"1")
    blobs.delete("a")
    blobs.delete("a")
    with pytest.raises(Refused):
        blobs.get(reference)
    with pytest.raises(Refused):
        blobs.get({"bucket": "another", "key": "a"})
