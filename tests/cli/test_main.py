"""The program as a whole: which stack it speaks to, how it fails, and what it says about itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click import Group

from offload import Client, Refused, Unavailable
from offload.cli.main import main

ROOT = Path(__file__).parents[2]


def test_the_stack_by_option_and_environment(offload, world, monkeypatch):
    offload("queues", "list")
    offload("--stack", "two", "queues", "list")
    monkeypatch.setenv("OFFLOAD_STACK", "three")
    offload("queues", "list")
    assert offload.stacks == ["offload", "two", "three"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("enqueue", "greet", "--payload", "{"), 2, "--payload is not JSON"),
        (("enqueue", "greet", "--payload", "[]"), 2, "--payload must be a JSON object"),
        (("enqueue", "greet", "--payload", "[" * 100_000), 2, "--payload is not JSON"),
        (("enqueue", "greet", "--payload", "@/no/such/file"), 2, "No such file"),
        (("enqueue", "greet", "--payload", "@/"), 2, "Is a directory"),
        (("enqueue", "greet", "--payload", "@BINARY"), 2, "--payload is not JSON"),
        (("enqueue", "greet", "--payload", '{"x": NaN}'), 2, "greet: x: Extra inputs are not permitted"),
        (("enqueue", "greet", "--payload", '{"name": 5}'), 2, "greet: name: Input should be a valid string"),
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
        (("jobs", "list", "wrok"), 3, "task 'wrok' is not deployed"),
        (("jobs", "list", "--state", "RUNNING"), 2, "only FAILED, RETRYING, SCHEDULED are indexed"),
        (("dlq", "list", "wrok"), 3, "task 'wrok' is not deployed"),
        (("dlq", "show", "greet", "missing"), 3, "no dead letter of job or message 'missing'"),
        (("dlq", "redrive", "wrok"), 3, "task 'wrok' is not deployed"),
        (("queues", "list", "wrok"), 3, "task 'wrok' is not deployed"),
    ],
)
def test_bad_input_is_one_clear_line(offload, world, tmp_path, monkeypatch, arguments, code, said):
    (tmp_path / "BINARY").write_bytes(b"\xff\xfe\x00")
    monkeypatch.chdir(tmp_path)
    done = offload(*arguments)
    assert done.code == code
    assert done.is_one_line_of_error
    assert said in done.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("enqueue",),
        ("enqueue", "greet", "--nope"),
        ("enqueue", "greet", "--timeout", "-1"),
        ("jobs", "wait", "ID", "--timeout", "soon"),
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
    def refuse(_stack):
        raise trouble

    monkeypatch.setattr(Client, "from_stack", staticmethod(refuse))
    done = offload(*arguments)
    assert done.code == 4
    assert done.is_one_line_of_error
    assert done.err == f"offload: {trouble}\n"


@pytest.mark.parametrize(
    "arguments",
    [(), ("tasks",), ("enqueue",), ("jobs",), ("jobs", "show"), ("jobs", "list"), ("jobs", "wait"), ("jobs", "cancel"),
     ("jobs", "retry"), ("dlq",), ("dlq", "list"), ("dlq", "show"), ("dlq", "redrive"), ("dlq", "purge"), ("queues",),
     ("queues", "list")],
)  # fmt: skip
def test_help_needs_no_stack(offload, arguments):
    done = offload(*arguments, "--help")
    assert done.code == 0
    assert "Usage: offload" in done.out
    assert offload.stacks == []


def test_every_verb_that_prints_data_has_json():
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


@pytest.mark.parametrize("arguments", [["tasks"], ["tasks", "--json"], ["--help"]])
def test_a_reader_that_has_enough_is_no_error_on_the_screen(arguments):
    reader, writer = os.pipe()
    os.close(reader)
    code = "from offload.cli import run; run()"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "shared")}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, env=environment, stdout=writer, stderr=-1, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_producers_installation_says_what_the_command_line_needs():
    code = "import sys; sys.modules['click'] = None; from offload.cli import run; run()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.strip() == "offload: the command line is an extra: pip install 'offload[cli]'"


def test_the_command_line_is_a_module_too():
    done = subprocess.run(
        [sys.executable, "-m", "offload", "--help"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Usage: offload ")
