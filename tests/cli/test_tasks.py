"""`offload tasks` and `offload enqueue`."""

from __future__ import annotations

import contextlib
import datetime as dt  # noqa: TC003 - read from the annotations of a task
import enum
import io
import json
import sys
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from offload import Secret, Unavailable, task
from tests.cli.greeting import greet

ROOT = Path(__file__).parents[2]


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Person(BaseModel):
    name: str


def test_tasks_of_this_project(offload, monkeypatch):
    monkeypatch.chdir(ROOT)
    rows = offload("tasks").rows
    assert "send_email" in [row["task"] for row in rows]
    (shown,) = [row for row in offload("tasks", "--json").json if row["task"] == "send_email"]
    assert shown["payload_schema"]["required"] == ["to", "subject", "body"]
    assert shown["result_schema"]["properties"]
    assert shown["summary"].startswith("Send one e-mail")
    assert offload.stacks == []


def test_tasks_outside_a_project(offload, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    done = offload("tasks")
    assert done.code == 2
    assert done.is_one_line_of_error
    assert "run this inside your Offload project" in done.err


def test_deployed_tasks(offload, world):
    (row,) = offload("tasks", "--deployed").rows
    assert row == {
        "task": "greet",
        "priorities": "default,high",
        "argument": "name",
        "takes": "text",
        "default": '"you"',
    }
    (shown,) = offload("tasks", "--deployed", "--json").json
    assert (shown["task"], shown["priorities"]) == ("greet", ["default", "high"])
    assert shown["payload_schema"] == greet.signature.schema()


def test_deployed_tasks_of_many_kinds(offload, world):
    @task
    def bare() -> None: ...

    @task
    def many(
        when: dt.datetime,
        size: Literal["s", "m"],
        people: list[Person],
        points: dict[str, float],
        colour: Colour = Colour.RED,
        anything: Any = None,
        limit: int | None = 5,
    ) -> None: ...

    world.deploy(bare, many)
    rows = offload("tasks", "--deployed").rows
    assert [row["task"] for row in rows] == ["bare", "greet", *["many"] * 7]
    assert rows[0]["argument"] == ""
    assert [(row["argument"], row["takes"], row["default"]) for row in rows[2:]] == [
        ("when", "date-time", "required"),
        ("size", '"s" or "m"', "required"),
        ("people", "list of Person (object)", "required"),
        ("points", "object of number", "required"),
        ("colour", '"red" or "blue"', '"red"'),
        ("anything", "anything", "null"),
        ("limit", "integer or nothing", "5"),
    ]


def test_a_deployed_secret_is_shown_as_one(offload, world):
    @task
    def charge(token: Secret[str], more: list[Secret[bytes]], maybe: Secret[str] | None = None) -> None: ...

    world.deploy(charge)
    rows = [row for row in offload("tasks", "--deployed").rows if row["task"] == "charge"]
    assert [row["takes"] for row in rows] == ["secret text", "list of secret base64url", "secret text or nothing"]


def test_enqueue_prints_the_id(offload, world):
    done = offload("enqueue", "greet", "--payload", '{"name": "ann"}')
    assert (done.code, done.err) == (0, "")
    world.drain()
    assert world.job(done.out.strip()).result == '"hello ann"'


def test_enqueue_with_every_option(offload, world):
    done = offload(
        "enqueue", "greet", "--payload", "{}", "--id", "mine", "--delay", "90", "--priority", "high", "--key", "k",
        "--tenant", "t", "--expires", "2h", "--json",
    )  # fmt: skip
    assert done.json == {"id": "mine", "task": "greet", "created": True}
    again = offload("enqueue", "greet", "--key", "k", "--json")
    assert again.json == {"id": "mine", "task": "greet", "created": False}
    record = world.job("mine")
    assert (record.lane, record.tenant, record.key) == ("high", "t", "k")
    assert record.next_at == world.clock.now() + 90_000
    assert record.expires_at == world.clock.now() + 7_200_000


def test_enqueue_from_a_file_and_from_stdin(offload, world, tmp_path, monkeypatch):
    (tmp_path / "payload.json").write_text('{"name": "ünïcode"}', encoding="utf-8")
    first = offload("enqueue", "greet", "--payload", f"@{tmp_path}/payload.json").out.strip()
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"name": "pipe"}'))
    second = offload("enqueue", "greet", "--payload", "-").out.strip()
    world.drain()
    assert (world.job(first).result, world.job(second).result) == ('"hello ünïcode"', '"hello pipe"')


@pytest.mark.parametrize("source", ["file", "stdin"])
def test_a_payload_may_begin_with_a_byte_order_mark(offload, world, tmp_path, monkeypatch, source):
    (tmp_path / "payload.json").write_text('\ufeff{"name": "ann"}', encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", io.StringIO('\ufeff{"name": "ann"}'))
    done = offload("enqueue", "greet", "--payload", f"@{tmp_path}/payload.json" if source == "file" else "-")
    assert (done.code, done.err) == (0, "")
    world.drain()
    assert world.job(done.out.strip()).result == '"hello ann"'


@pytest.mark.parametrize(("name", "code", "state"), [("ann", 0, "SUCCEEDED"), ("nobody", 1, "FAILED")])
def test_enqueue_and_wait(offload, world, name, code, state):
    original = world.client.send

    def send_and_run(request):
        handle = original(request)
        with contextlib.redirect_stdout(io.StringIO()):  # the worker's metrics
            world.run_until_idle()
        return handle

    world.client.send = send_and_run
    done = offload("enqueue", "greet", "--payload", json.dumps({"name": name}), "--wait", "--json")
    assert (done.code, done.json["state"]) == (code, state)
    if code == 0:
        assert done.json["result"] == "hello ann"
    else:
        assert done.json["error"]["type"] == "Permanent"


def test_waiting_gives_up(offload, world):
    done = offload("enqueue", "greet", "--wait", "--timeout", "50ms")
    assert done.code == 1
    assert world.job(done.out.strip()).task == "greet"
    assert "is PENDING after 0.05 s; it goes on" in done.err


def test_enqueue_and_wait_needs_no_record_at_once(offload, world):
    world.store.fail("apply", Unavailable("throttled"))
    done = offload("enqueue", "greet", "--wait", "--timeout", "60")
    assert done.code == 1
    assert "is PENDING after 60 s; it goes on" in done.err
