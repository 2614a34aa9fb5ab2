"""`offload queues`."""

from __future__ import annotations

from tests.cli.greeting import greet


def test_queues(offload, world):
    greet.delay()
    greet.options(delay="1m", priority="high").delay()
    greet.delay("nobody")
    world.drain()
    greet.delay()
    default, high = offload("queues", "list").rows
    counts = {"waiting": "1", "in_flight": "0", "delayed": "0", "dead": "1"}
    assert default == {"task": "greet", "lane": "default", "queue": "test-greet", **counts}
    counts = {"waiting": "0", "in_flight": "0", "delayed": "1", "dead": "0"}
    assert high == {"task": "greet", "lane": "high", "queue": "test-greet-high", **counts}
    assert offload("queues", "list", "greet", "--json").json[0]["waiting"] == 1
