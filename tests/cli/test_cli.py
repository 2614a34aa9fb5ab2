"""The command line: what each verb prints, and how it fails."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from offload import Permanent, Refused, Retry, State, Unavailable, task

ROOT = Path(__file__).parents[2]


@task(priorities=("default", "high"), retry=Retry(max_attempts=1))
def greet(name: str = "you") -> str:
    if name == "nobody":
        raise Permanent("nobody\tis\nthere \x1b[31m")
    return f"hello {name}"


@pytest.fixture
def world(stage, offload):
    offload.world = stage(greet)
    return offload.world


def one_line(done):
    """An error is one line on stderr, and nothing on stdout."""
    return done.out == "" and len(done.err.strip().splitlines()) == 1 and "Traceback" not in done.err


# tasks, enqueue


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
    assert one_line(done)
    assert "run this inside your Offload project" in done.err


def test_deployed_tasks(offload, world):
    assert offload("tasks", "--deployed").rows == [{"task": "greet", "priorities": "default,high"}]
    assert offload("tasks", "--deployed", "--json").json == [{"task": "greet", "priorities": ["default", "high"]}]


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


@pytest.mark.parametrize(("name", "code", "state"), [("ann", 0, "SUCCEEDED"), ("nobody", 1, "FAILED")])
def test_enqueue_and_wait(offload, world, name, code, state):
    original = world.client.send

    def at_once(order):
        handle = original(order)
        with contextlib.redirect_stdout(io.StringIO()):  # the worker's metrics
            world.run_until_idle()
        return handle

    world.client.send = at_once
    done = offload("enqueue", "greet", "--payload", json.dumps({"name": name}), "--wait", "--json")
    assert (done.code, done.json["state"]) == (code, state)
    if code == 0:
        assert done.json["result"] == "hello ann"
    else:
        assert done.json["error"]["type"] == "Permanent"


def test_waiting_gives_up(offload, world):
    done = offload("enqueue", "greet", "--wait", "--timeout", "0.05")
    assert done.code == 1
    assert one_line(done)
    assert "is PENDING after 0.05 s; it goes on" in done.err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("enqueue", "greet", "--payload", "{"), 2, "--payload is not JSON"),
        (("enqueue", "greet", "--payload", "[]"), 2, "--payload must be a JSON object"),
        (("enqueue", "greet", "--payload", "[" * 100_000), 2, "--payload is not JSON"),
        (("enqueue", "greet", "--payload", "@/no/such/file"), 2, "No such file"),
        (("enqueue", "greet", "--payload", "@/"), 2, "Is a directory"),
        (("enqueue", "greet", "--payload", "@BINARY"), 2, "--payload is not JSON"),
        (("enqueue", "greet", "--payload", '{"x": NaN}'), 2, "cannot be written as JSON"),
        (("enqueue", "greet", "--delay", "soon"), 2, "delay='soon' is not a duration"),
        (("enqueue", "greet", "--delay", "nan"), 2, "delay=nan is not a duration"),
        (("enqueue", "greet", "--delay", "-1"), 2, "delay=-1.0 is out of range"),
        (("enqueue", "greet", "--expires", "1e99"), 2, "expires=1e+99 is out of range"),
        (("enqueue", "greet", "--id", "a b"), 2, "is not a job id"),
        (("enqueue", "greet", "--key", ""), 2, "key=''"),
        (("enqueue", "greet", "--priority", "low"), 2, "has the lanes default, high"),
        (("enqueue", "wrok"), 3, "task 'wrok' is not deployed"),
        (("jobs", "show", "missing"), 3, "no job 'missing'"),
        (("jobs", "wait", "missing"), 3, "no job 'missing'"),
        (("jobs", "cancel", "missing"), 3, "no job 'missing'"),
        (("jobs", "retry", "missing"), 3, "no job 'missing'"),
        (("jobs", "list", "--task", "wrok"), 3, "task 'wrok' is not deployed"),
        (("jobs", "list", "--state", "RUNNING"), 2, "only FAILED, RETRYING, SCHEDULED are indexed"),
        (("dlq", "list", "wrok"), 3, "task 'wrok' is not deployed"),
        (("dlq", "show", "greet", "missing"), 3, "no dead letter of job or message 'missing'"),
        (("dlq", "redrive", "wrok"), 3, "task 'wrok' is not deployed"),
        (("queues", "list", "--task", "wrok"), 3, "task 'wrok' is not deployed"),
    ],
)
def test_bad_input_is_one_clear_line(offload, world, tmp_path, monkeypatch, arguments, code, said):
    (tmp_path / "BINARY").write_bytes(b"\xff\xfe\x00")
    monkeypatch.chdir(tmp_path)
    done = offload(*arguments)
    assert done.code == code
    assert one_line(done)
    assert said in done.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("enqueue",),
        ("enqueue", "greet", "--nope"),
        ("enqueue", "greet", "--timeout", "-1"),
        ("jobs", "list", "--limit", "0"),
        ("jobs", "list", "--state", "SOON"),
        ("jobs", "nope"),
        ("nope",),
        ("dlq", "redrive", "greet", "--rate", "0"),
    ],
)
def test_wrong_usage(offload, world, arguments):
    done = offload(*arguments)
    assert (done.code, done.out) == (2, "")
    assert "Error: " in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("trouble", [Refused("stack 'offload' is not deployed"), Unavailable("nothing answers")])
@pytest.mark.parametrize(
    "arguments",
    [
        ("tasks", "--deployed"),
        ("enqueue", "greet"),
        ("jobs", "show", "a"),
        ("jobs", "list"),
        ("dlq", "list"),
        ("queues", "list"),
    ],
)
def test_a_service_that_does_not_answer(offload, monkeypatch, trouble, arguments):
    from offload import Client

    def refuse(_stack):
        raise trouble

    monkeypatch.setattr(Client, "from_stack", staticmethod(refuse))
    done = offload(*arguments)
    assert done.code == 4
    assert one_line(done)
    assert done.err == f"offload: {trouble}\n"


# jobs


def test_a_job_is_shown_whole(offload, world):
    job = greet.delay("ann")
    world.drain()
    shown = offload("jobs", "show", job.id, "--json").json
    assert (shown["state"], shown["attempt"], shown["result"]) == ("SUCCEEDED", 1, "hello ann")
    assert [entry["state"] for entry in shown["history"]] == ["PENDING", "RUNNING", "SUCCEEDED"]
    text = offload("jobs", "show", job.id).out
    assert "state: SUCCEEDED" in text
    assert "result: hello ann" in text


def test_a_result_that_is_gone_does_not_hide_its_job(offload, world):
    job = greet.delay("ann")
    world.drain()
    world.clock.advance(8 * 86_400)
    done = offload("jobs", "show", job.id, "--json")
    assert done.code == 0
    assert "expired" in done.json["result_error"]


def test_jobs_that_need_attention(offload, world):
    failed = greet.delay("nobody")
    world.run_until_idle()
    world.clock.advance(10)
    later = greet.options(delay="1h").delay()
    done = greet.delay("ann")
    world.drain()
    listed = offload("jobs", "list", "--json").json
    assert [row["id"] for row in listed] == [later.id, failed.id]
    assert done.id not in str(listed)
    assert [row["id"] for row in offload("jobs", "list", "--state", "failed").rows] == [failed.id]
    assert offload("jobs", "list", "--state", "RETRYING", "--json").json == []
    assert offload("jobs", "list", "--limit", "1").rows[0]["id"] == later.id


def test_a_failure_is_not_hidden_by_jobs_that_are_yet_to_come(offload, world):
    for _ in range(5):
        greet.options(delay="30d").delay()
    world.clock.advance(60)
    failed = greet.delay("nobody")
    world.drain()
    assert [row["id"] for row in offload("jobs", "list", "--limit", "1").rows] == [failed.id]


def test_what_others_wrote_does_not_rule_the_terminal(offload, world):
    job = greet.delay("nobody")
    world.run_until_idle()
    (row,) = offload("jobs", "list").rows
    assert row["reason"] == "Permanent: nobody is there  [31m"
    for arguments in (("jobs", "list"), ("jobs", "show", job.id), ("dlq", "list"), ("dlq", "show", "greet", job.id)):
        assert "\x1b" not in offload(*arguments).out
    shown = offload("jobs", "show", job.id, "--json").json
    assert shown["error"]["message"] == "nobody\tis\nthere \x1b[31m"


def test_cancel(offload, world):
    job = greet.delay()
    assert offload("jobs", "cancel", job.id, "--json").json["state"] == "CANCELLED"
    assert offload("jobs", "cancel", job.id).code == 0


def test_a_failed_job_is_retried(offload, world):
    job = greet.delay("nobody")
    world.run_until_idle()
    shown = offload("jobs", "retry", job.id, "--json")
    assert (shown.code, shown.json["state"], shown.json["attempt"]) == (0, "PENDING", 0)
    world.run_until_idle()
    assert (world.job(job.id).redrives, job.status()) == (1, State.FAILED)
    assert "state: PENDING" in offload("jobs", "retry", job.id).out


def test_what_cannot_be_retried_is_one_clear_line(offload, world):
    job = greet.delay("ann")
    world.run_until_idle()
    done = offload("jobs", "retry", job.id)
    assert (done.code, one_line(done)) == (2, True)
    assert f"job {job.id} is SUCCEEDED: it is done; to run it again, enqueue it anew" in done.err
    gone = greet.delay("nobody")
    world.run_until_idle()
    offload("dlq", "purge", "greet", "--yes")
    begin = world.clock.now()
    done = offload("jobs", "retry", gone.id, "--timeout", "5")
    assert (done.code, one_line(done)) == (3, True)
    assert "not in the dead-letter queue of 'greet'" in done.err
    assert 5_000 <= world.clock.now() - begin <= 8_000


@pytest.mark.parametrize(("timeout", "waits"), [(None, 30), (60, 30), (5, 5), (0, 0)])
def test_an_unknown_job_is_waited_for_a_while(offload, world, timeout, waits):
    begin = world.clock.now()
    done = offload("jobs", "wait", "missing", *(() if timeout is None else ("--timeout", str(timeout))))
    assert (done.code, one_line(done)) == (3, True)
    assert waits * 1000 <= world.clock.now() - begin < waits * 1000 + 500


def test_a_bare_message_is_waited_for_before_it_has_a_record(offload, world):
    job_id = world.send('{"payload": {"name": "ann"}}')

    def receive():
        with contextlib.redirect_stdout(io.StringIO()):  # the worker's metrics
            world.drain()

    world.clock.call_at(world.clock.now() + 20_000, receive)
    assert offload("jobs", "wait", job_id, "--json").json["result"] == "hello ann"


def test_enqueue_and_wait_needs_no_record_at_once(offload, world):
    world.store.fail("apply", Unavailable("throttled"))
    done = offload("enqueue", "greet", "--wait", "--timeout", "60")
    assert done.code == 1
    assert "is PENDING after 60 s; it goes on" in done.err


@pytest.mark.parametrize(("name", "code"), [("ann", 0), ("nobody", 1)])
def test_wait_tells_success_from_failure(offload, world, name, code):
    job = greet.delay(name)
    world.run_until_idle()
    assert offload("jobs", "wait", job.id).code == code


# dlq, queues


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
    world.store.port._items.clear()
    (row,) = offload("dlq", "list").rows
    assert (row["job_id"], row["attempts"]) == (message_id, "0")
    assert row["reason"].startswith("no job record")


def test_one_dead_letter_is_brought_back(offload, world, monkeypatch):
    job = greet.delay("nobody")
    other = greet.delay("nobody")
    world.run_until_idle()
    world.clock.advance(60)
    assert (
        offload("dlq", "redrive", "greet", "--id", job.id, "--dry-run", "--json").json["moved"][0]["job_id"] == job.id
    )
    assert len(world.dead()) == 2
    done = offload("dlq", "redrive", "greet", "--id", job.id)
    assert (done.code, done.out) == (0, "1 brought back, 1 left\n")
    world.run_until_idle()
    assert (world.job(job.id).redrives, world.job(other.id).redrives) == (1, 0)
    assert offload("dlq", "redrive", "greet", "--id", "missing").code == 3


@pytest.mark.parametrize("null", ["", ', "id": null'])
def test_a_bare_dead_letter_comes_back_as_its_own_job(offload, world, null):
    job_id = world.send('{"payload": {"nope": 1}' + null + "}")
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
    assert len(world.dead()) == 1
    done = offload("dlq", "purge", "greet", "--yes", "--json")
    assert done.json == {"task": "greet", "purged": 1}
    assert world.dead() == []


def test_queues(offload, world):
    greet.delay()
    greet.options(delay="1m", priority="high").delay()
    broken = greet.delay("nobody")
    world.drain()
    greet.delay()
    assert broken
    default, high = offload("queues", "list").rows
    counts = {"waiting": "1", "in_flight": "0", "delayed": "0", "dead": "1"}
    assert default == {"task": "greet", "lane": "default", "queue": "test-greet", **counts}
    counts = {"waiting": "0", "in_flight": "0", "delayed": "1", "dead": "0"}
    assert high == {"task": "greet", "lane": "high", "queue": "test-greet-high", **counts}
    assert offload("queues", "list", "--task", "greet", "--json").json[0]["waiting"] == 1


# The program itself


def test_the_stack_by_option_and_environment(offload, world, monkeypatch):
    offload("queues", "list")
    offload("--stack", "two", "queues", "list")
    monkeypatch.setenv("OFFLOAD_STACK", "three")
    offload("queues", "list")
    assert offload.stacks == ["offload", "two", "three"]


@pytest.mark.parametrize(
    "arguments",
    [(), ("tasks",), ("enqueue",), ("jobs",), ("jobs", "show"), ("jobs", "list"), ("jobs", "wait"), ("jobs", "cancel"),
     ("jobs", "retry"), ("dlq",),
     ("dlq", "list"), ("dlq", "show"), ("dlq", "redrive"), ("dlq", "purge"), ("queues",), ("queues", "list")],
)  # fmt: skip
def test_help_needs_no_stack(offload, arguments):
    done = offload(*arguments, "--help")
    assert done.code == 0
    assert "Usage: offload" in done.out
    assert offload.stacks == []


def test_every_verb_that_prints_data_has_json():
    from click import Group

    from offload.cli.main import main

    def verbs(group, *path):
        for name, command in group.commands.items():
            if isinstance(command, Group):
                yield from verbs(command, *path, name)
            else:
                yield (*path, name), {option for parameter in command.params for option in parameter.opts}

    assert [path for path, options in verbs(main) if "--json" not in options] == []


def test_as_a_program():
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "shared")}
    code = "from offload.cli import run; run()"
    done = subprocess.run(
        [sys.executable, "-c", code, "tasks"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("task\t")
    shell = f"{sys.executable} -c '{code}' tasks --json | head -c 1"
    done = subprocess.run(shell, shell=True, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[", "")


def test_a_producers_installation_says_what_the_command_line_needs():
    code = "import sys; sys.modules['click'] = None; from offload.cli import run; run()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.strip() == "offload: the command line is an extra: pip install 'offload[cli]'"
