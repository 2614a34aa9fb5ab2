"""What every `Blobs` and every `Timers` does."""

from __future__ import annotations

import pytest

from offload.core.errors import Refused
from offload.core.ports import LARGEST_BLOB

LONGEST_NAME = "A-z_0." + "long-" * 11 + "end"


def test_bytes_come_back_by_their_reference(world):
    data = bytes(range(256)) * 5000
    ref = world.blobs.put("results/a.json", data)
    assert set(ref) == {"bucket", "key"}
    assert world.blobs.get(ref) == data


def test_a_later_put_replaces_an_earlier_one(world):
    world.blobs.put("k", b"old")
    assert world.blobs.get(world.blobs.put("k", b"new")) == b"new"


def test_what_is_not_there_is_refused(world):
    ref = world.blobs.put("k", b"")
    assert world.blobs.get(ref) == b""
    for wrong in (
        {**ref, "key": "other"},
        {**ref, "bucket": "no-such-bucket-anywhere"},
        {"key": "k"},
        {**ref, "key": 7},
    ):
        with pytest.raises(Refused):
            world.blobs.get(wrong)


def test_a_blob_that_is_larger_than_asked_for_is_refused(world):
    ref = world.blobs.put("k", b"12345")
    assert world.blobs.get(ref, most_bytes=5) == b"12345"
    with pytest.raises(Refused, match=r"at most 4 are read|more than 4 bytes") as caught:
        world.blobs.get(ref, most_bytes=4)
    assert caught.value.lasting
    assert world.blobs.get(ref) == b"12345"


def test_a_blob_that_is_too_large_is_not_stored(world):
    with pytest.raises(Refused, match=str(LARGEST_BLOB)) as caught:
        world.blobs.put("k", bytes(LARGEST_BLOB + 1))
    assert caught.value.lasting


def test_a_timer_of_a_name_that_exists_is_kept(world):
    queue, at = world.queue(), world.clock.now() + 86_400_000
    for name in ("job-1", "job-1", LONGEST_NAME, LONGEST_NAME):
        world.timers.send_at(name, queue, "{}", at)


def test_a_timer_fires_once_at_its_time_with_its_body(firing_world, eventually):
    world = firing_world
    queue, at = world.queue(), world.clock.now() + 2000
    world.timers.send_at("job.1", queue, '{"payload": {}}', at)
    world.timers.send_at("job.1", queue, '{"second": "ignored"}', at)
    assert world.queues.receive(queue, limit=10, visibility=30) == []
    (message,) = eventually(lambda: world.queues.receive(queue, limit=10, visibility=30), world.clock)
    assert message.body == '{"payload": {}}'
    assert message.sent_at >= at
    world.clock.sleep(2)
    assert world.queues.receive(queue, limit=10, visibility=30) == []


def test_a_timer_can_be_read_until_it_is_deleted(world):
    queue, at = world.queue(), world.clock.now() + 86_400_000
    for name in (LONGEST_NAME, "job-3"):
        assert world.timers.get(name) is None
        world.timers.send_at(name, queue, '{"payload": {"name": "Åse"}}', at)
        assert world.timers.get(name) == (queue, '{"payload": {"name": "Åse"}}')
    world.timers.delete("job-3")
    world.timers.delete("job-3")
    assert world.timers.get("job-3") is None
    assert world.timers.get(LONGEST_NAME) is not None


def test_a_timer_that_was_deleted_can_be_set_again(world):
    queue, at = world.queue(), world.clock.now() + 86_400_000
    world.timers.send_at("job-4", queue, "1", at)
    world.timers.delete("job-4")
    world.timers.send_at("job-4", queue, "2", at)
    assert world.timers.get("job-4") == (queue, "2")
