"""What others wrote does not rule the terminal: it is escaped in every output of every command."""

from __future__ import annotations

import contextlib
import json
import re
import unicodedata
from pathlib import Path

import pytest

from offload import Refused
from offload.cli import output
from tests.cli.greeting import greet

HOSTILE = "a\x1b[31m\x07\r\x7f\x9b2J\u200f\u202e\u2066\u2028\u061c\U000e0001z"
"""C0, delete, C1, marks of direction, a line separator and a tag, each of which a terminal or a reader may heed."""

ROOT = Path(output.__file__).parent


def is_harmless(text):
    return all(char.isprintable() or char == "\n" or unicodedata.category(char) == "Zs" for char in text)


def plain(text):
    """Return what a command printed, without the tabs between columns and what the program itself does to a line."""
    return re.sub(r"\r\x1b\[K|\x1b\[1m|\x1b\[0m", "", text).replace("\t", "")


@pytest.fixture
def hostile(offload, world):
    """A job that has failed, in whose record and message everything is hostile that can be."""
    job_id = world.send(json.dumps({"payload": {"name": HOSTILE, HOSTILE: [HOSTILE]}, "tenant": HOSTILE}))
    world.run_until_idle()
    world.clock.advance(60)
    record = world.record(job_id)
    error = {"type": HOSTILE, "message": HOSTILE, "traceback": f"{HOSTILE}\n{HOSTILE}", "attempt": 0}
    changes = {
        "error": error, "reason": HOSTILE, "workflow": HOSTILE, "lane": HOSTILE,
        "history": [*record["history"], ["FAILED", 1, 0, HOSTILE]],
        "progress": {"current": 1, "total": 2, "stage": HOSTILE, "at": 1},
        "usage": {HOSTILE: 1},
    }  # fmt: skip
    world.store.port.change(job_id, **changes)
    return job_id


COMMANDS = {
    "jobs show": ("jobs", "show", "ID"),
    "jobs list": ("jobs", "list"),
    "jobs wait": ("jobs", "wait", "ID", "--timeout", "0"),
    "jobs cancel": ("jobs", "cancel", "ID"),
    "jobs retry": ("jobs", "retry", "ID"),
    "dlq list": ("dlq", "list"),
    "dlq show": ("dlq", "show", "greet", "ID"),
    "dlq redrive": ("dlq", "redrive", "greet", "--id", "ID", "--dry-run"),
    "dlq purge": ("dlq", "purge", "greet", "--yes"),
    "queues list": ("queues", "list"),
    "tasks": ("tasks", "--deployed"),
}


@pytest.mark.parametrize("form", [(), ("--json",)], ids=["text", "json"])
@pytest.mark.parametrize("command", COMMANDS.values(), ids=list(COMMANDS))
def test_no_command_prints_what_steers_a_terminal(offload, hostile, command, form):
    done = offload(*(hostile if part == "ID" else part for part in command), *form)
    assert is_harmless(plain(done.out)), done.out
    assert is_harmless(plain(done.err)), done.err
    if form:
        json.loads(done.out)


def test_json_means_the_same_characters(offload, hostile):
    shown = offload("jobs", "show", hostile, "--json").json
    assert shown["error"]["message"] == shown["reason"] == shown["progress"]["stage"] == HOSTILE
    assert HOSTILE in offload("dlq", "show", "greet", hostile, "--json").json["body"]["payload"]


def test_texts_show_what_was_there(offload, hostile):
    (row,) = offload("jobs", "list").rows
    assert row["reason"] == (r"a\x1b[31m\x07\r\x7f\x9b2J\u200f\u202e\u2066\u2028\u061c\U000e0001z")
    assert "å\u00a0ü" in output.printable("å\u00a0ü")


def test_a_result_and_progress_are_escaped(offload, world):
    job = greet.delay(HOSTILE)
    world.drain()
    for arguments in (("jobs", "show", job.id), ("jobs", "show", job.id, "--json"), ("jobs", "wait", job.id)):
        assert is_harmless(plain(offload(*arguments).out))
    assert offload("jobs", "show", job.id, "--json").json["result"] == f"hello {HOSTILE}"


def test_the_progress_line_is_escaped(offload, world, monkeypatch):
    job = greet.delay("ann")
    world.store.port.change(job.id, state="RUNNING", lease="l", progress={"current": 1, "stage": HOSTILE})
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    done = offload("jobs", "wait", job.id, "--timeout", "0")
    assert r"1/? a\x1b[31m" in done.err
    assert is_harmless(plain(done.err)), done.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("jobs", "show", HOSTILE),
        ("jobs", "list", HOSTILE),
        ("dlq", "show", "greet", HOSTILE),
        ("dlq", "redrive", HOSTILE),
        ("enqueue", "greet", "--id", HOSTILE),
        ("enqueue", HOSTILE),
        (HOSTILE,),
        ("jobs", f"--{HOSTILE}"),
        ("jobs", "list", "--limit", HOSTILE),
    ],
)
def test_error_lines_are_escaped(offload, world, arguments):
    done = offload(*arguments)
    assert done.code != 0
    assert done.err
    assert is_harmless(done.err), done.err
    assert is_harmless(done.out)


def test_what_a_service_says_is_escaped(offload, world):
    world.store.fail("get", Refused(f"denied {HOSTILE}"))
    done = offload("jobs", "show", "a")
    assert (done.code, is_harmless(done.err)) == (4, True)
    assert r"denied a\x1b[31m" in done.err


def test_a_table_on_a_terminal_is_escaped(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    row = {"reason": HOSTILE, "state": HOSTILE, "list": [HOSTILE], "id": "[red]x"}
    output.print_rows(list(row), [row], as_json=False, empty="")
    told = capsys.readouterr().out
    assert "\x1b[31m" not in told
    assert is_harmless(plain(told))
    assert "[red]x" in told


def test_only_one_module_prints():
    """Another module may only print what a shell is to run, character by character."""
    found = {
        path.name: len(re.findall(r"click\.(?:s?echo|secho)\(|\bprint\(", path.read_text()))
        for path in ROOT.glob("*.py")
        if path.name != "output.py"
    }
    assert {name: count for name, count in found.items() if count} == {"local.py": 1}
    with contextlib.suppress(StopIteration):
        line = next(line for line in (ROOT / "local.py").read_text().splitlines() if "click.echo(" in line)
        assert "as_shell" in line
