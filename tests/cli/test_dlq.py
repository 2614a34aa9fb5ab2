"""`offload dlq`."""

from __future__ import annotations

import io
import sys

import pytest

from tests.cli.greeting import greet


def test_dead_letters_with_their_reasons(offload, world):
    job = greet.delay("nobody")
    broken = world.send('{"payload": {"name": "\\ud800"')
    world.run_until_idle()
    rows = {row["job_id"]: row for row in offload("dlq", "list").rows}
    assert rows[job.id]["reason"].startswith("Permanent: nobody")
    assert rows[broken]["reason"].startswith("MessageError: the body is not JSON")
    assert (rows[job.id]["attempts"], rows[broken]["attempts"]) == ("1", "0")
    assert offload("dlq", "list", "greet", "--limit", "1", "--json").json[0]["task"] == "greet"
    # Looking took nothing.
    assert len(offload("dlq", "list", "--json").json) == 2


@pytest.mark.parametrize(
    "body", ['{"payload": {}, "x": "\\ud800"', '{"version": 9, "x": "\\ud800"}', "[" * 100_000, "a\x1bb"]
)
def test_a_dead_letter_of_any_kind_is_shown(offload, world, body):
    job_id = world.send(body)
    world.run_until_idle()
    shown = offload("dlq", "show", "greet", job_id, "--json")
    assert shown.code == 0
    assert shown.json["job"]["state"] == "FAILED"
    shown.out.encode()
    assert offload("dlq", "show", "greet", job_id).code == 0


def test_a_dead_letter_without_a_record(offload, world):
    message_id = world.send("{}")
    world.run_until_idle()
    world.store.port.delete()
    (row,) = offload("dlq", "list").rows
    assert (row["job_id"], row["attempts"]) == (message_id, "0")
    assert row["reason"].startswith("no job record")


def test_one_dead_letter_is_brought_back(offload, world, monkeypatch):
    job = greet.delay("nobody")
    other = greet.delay("nobody")
    world.run_until_idle()
    world.clock.advance(60)
    dry = offload("dlq", "redrive", "greet", "--id", job.id, "--dry-run", "--json").json
    assert dry["moved"][0]["job_id"] == job.id
    assert len(world.dead()) == 2
    done = offload("dlq", "redrive", "greet", "--id", job.id)
    assert (done.code, done.out) == (0, "1 redriven, 1 left\n")
    world.run_until_idle()
    assert (world.job(job.id).redrives, world.job(other.id).redrives) == (1, 0)
    assert offload("dlq", "redrive", "greet", "--id", "missing").code == 3


@pytest.mark.parametrize("body", ['{"payload": {"nope": 1}}', '{"payload": {"nope": 1}, "id": null}'])
def test_a_bare_dead_letter_comes_back_as_its_own_job(offload, world, body):
    job_id = world.send(body)
    world.run_until_idle()
    world.clock.advance(60)
    offload("dlq", "redrive", "greet", "--id", job_id)
    world.run_until_idle()
    assert [item["id"] for item in world.store.items()] == [job_id]
    assert len(world.dead()) == 1


def test_purge(offload, world, monkeypatch):
    greet.delay("nobody")
    world.run_until_idle()
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    done = offload("dlq", "purge", "greet")
    assert done.code == 130
    assert "Delete 1 dead letter of greet for good?" in done.err
    assert len(world.dead()) == 1
    done = offload("dlq", "purge", "greet", "--yes", "--json")
    assert done.json == {"task": "greet", "purged": 1}
    assert world.dead() == []
