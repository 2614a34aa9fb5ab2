"""`offload enqueue`: one job, and a job for each line of a file."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys

import pytest

from offload import Unavailable
from offload.core.messages.message import Message


@pytest.fixture
def lines(tmp_path):
    """Write lines to a file, and return its path."""

    def write(*each):
        path = tmp_path / "jobs.jsonl"
        path.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in each))
        return str(path)

    return write


def prefix_of(done):
    """Return the id prefix that was printed first."""
    first = done.err.splitlines()[0]
    assert first.startswith("id prefix: ")
    return first.removeprefix("id prefix: ")


# One job


def test_a_time_to_start(offload, world):
    done = offload("enqueue", "greet", "--eta", "2026-01-01T01:00:00+01:00", "--json")
    assert world.job(done.json["id"]).state == "PENDING"
    done = offload("enqueue", "greet", "--eta", "2026-01-01T01:00:00Z", "--json")
    assert world.job(done.json["id"]).next_at == world.clock.now() + 3_600_000


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--eta", "2026-01-01T01:00:00"], "has no time zone: end it with an offset, such as Z or +01:00"),
        (["--eta", "noon"], "is no time"),
        (["--eta", "2026-01-01T01:00:00Z", "--delay", "5"], "give delay=5.0 or eta='2026-01-01T01:00:00Z', not both"),
        (["--key", "k", "--key-window", "40d"], "key_window='40d'"),
        (["--delay", "2h", "--expires", "1h"], "could never start"),
    ],
)
def test_wrong_options_are_one_line(offload, world, options, said):
    done = offload("enqueue", "greet", *options)
    assert done.code == 2
    assert done.is_one_line_of_error
    assert said in done.err
    assert world.waiting() == []


def test_a_job_that_is_tracked_from_its_start(offload, world):
    done = offload("enqueue", "greet", "--track", "start")
    assert world.store.items() == []
    world.drain()
    assert world.job(done.out.strip()).state == "SUCCEEDED"


def test_a_key_whose_arguments_may_differ(offload, world):
    offload("enqueue", "greet", "--key", "k", "--key-window", "2h")
    other = ["enqueue", "greet", "--key", "k", "--payload", '{"name": "bob"}']
    assert offload(*other).code == 2
    assert offload(*other, "--key-may-differ", "--json").json["created"] is False


@pytest.mark.parametrize("as_json", [False, True])
def test_the_id_comes_before_the_wait(offload, world, monkeypatch, as_json):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(world.client.clock, "sleep", interrupted)
    done = offload("enqueue", "greet", "--wait", *(["--json"] if as_json else []))
    assert done.code == 130
    (job,) = world.jobs
    assert job.id in (done.err if as_json else done.out).split()


# A job for each line


def test_a_job_for_each_line(offload, world, lines):
    done = offload("enqueue", "greet", "--from", lines({"name": "ann"}, {"name": "bob"}, {}), "--tenant", "acme")
    assert done.code == 0
    world.drain()
    ids = done.out.splitlines()
    assert [world.job(job_id).result for job_id in ids] == ['"hello ann"', '"hello bob"', '"hello you"']
    assert {world.job(job_id).tenant for job_id in ids} == {"acme"}
    assert done.err == f"id prefix: {prefix_of(done)}\n"


def test_lines_from_stdin_and_the_sum_as_json(offload, world, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"name": "ann"}\n{"name": "bob"}')))
    done = offload("enqueue", "greet", "--from", "-", "--json", "--id-prefix", "import")
    assert done.json == {
        "task": "greet", "id_prefix": "import", "jobs": 2, "enqueued": 2, "new": 2, "failed": 0, "failures": []
    }  # fmt: skip
    assert {job.id for job in world.jobs} == {"import-0", "import-1"}


def test_lines_with_options_of_their_own(offload, world, lines):
    source = lines(
        {"payload": {"name": "ann"}, "id": "mine", "delay": "1h"},
        {"payload": {"name": "bob"}, "key": "k", "eta": "2026-01-01T02:00:00Z"},
        {"payload": {}},
    )
    done = offload("enqueue", "greet", "--from", source, "--line-options", "--delay", "5m", "--priority", "high")
    assert done.code == 0, done.err
    jobs = {job.id: job for job in world.jobs}
    now = world.clock.now()
    assert jobs["mine"].next_at == now + 3_600_000
    assert sorted(job.next_at - now for job in jobs.values()) == [300_000, 3_600_000, 7_200_000]
    assert {job.lane for job in jobs.values()} == {"high"}


def test_all_wrong_lines_are_named_and_nothing_is_sent(offload, world, lines):
    source = lines({"name": "ann"}, "{", {"nmae": "bob"}, "", [], "  ", {"name": 5})
    done = offload("enqueue", "greet", "--from", source)
    assert (done.code, done.out) == (2, "")
    told = done.err.splitlines()
    assert told[0] == "offload: 4 lines are wrong, so nothing was enqueued:"
    assert [line.partition(":")[0] for line in told[1:]] == [f"  line {number}" for number in (2, 3, 5, 7)]
    assert told[1] == "  line 2: not JSON: Expecting property name enclosed in double quotes, at character 2"
    assert "nmae" in told[2]
    assert world.waiting() == []


def test_one_wrong_line_is_one(offload, world, lines):
    done = offload("enqueue", "greet", "--from", lines({}, {"nmae": "bob"}, {}))
    assert done.err.splitlines()[0] == "offload: 1 line is wrong, so nothing was enqueued:"


def test_more_wrong_lines_than_are_named_are_counted(offload, world, lines):
    done = offload("enqueue", "greet", "--from", lines(*["{"] * 25))
    assert done.err.splitlines()[0] == "offload: 25 lines are wrong, so nothing was enqueued:"
    assert done.err.splitlines()[-1] == "  and 5 more"


@pytest.mark.parametrize(
    "text",
    [
        b'{"name": "ann"}\n{"name": "bob"}\n\n',
        b'\xef\xbb\xbf{"name": "ann"}\n{"name": "bob"}\n',
        b'{"name": "ann"}\r\n\r\n{"name": "bob"}\r\n',
        b'\xef\xbb\xbf\r\n \t\n{"name": "ann"}\n{"name": "bob"}',
    ],
    ids=["blank line at the end", "byte order mark", "CRLF", "all of it"],
)
@pytest.mark.parametrize("from_stdin", [False, True])
def test_files_as_editors_and_spreadsheets_write_them(offload, world, tmp_path, monkeypatch, text, from_stdin):
    (tmp_path / "jobs").write_bytes(text)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    done = offload("enqueue", "greet", "--from", "-" if from_stdin else str(tmp_path / "jobs"), "--id-prefix", "q")
    assert (done.code, done.out.split()) == (0, ["q-0", "q-1"])
    world.drain()
    assert [world.job(job_id).result for job_id in ("q-0", "q-1")] == ['"hello ann"', '"hello bob"']


@pytest.mark.parametrize("text", [b"", b"\xef\xbb\xbf", b"\n  \n"], ids=["empty", "byte order mark", "blank lines"])
@pytest.mark.parametrize("terminal", [False, True])
def test_a_file_without_a_line_sends_nothing_and_says_so(offload, world, tmp_path, monkeypatch, text, terminal):
    (tmp_path / "jobs").write_bytes(text)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    done = offload("enqueue", "greet", "--from", str(tmp_path / "jobs"))
    assert (done.code, done.out) == (0, "")
    assert done.err == f"0 jobs: {tmp_path}/jobs has no lines, or only blank ones\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    done = offload("enqueue", "greet", "--from", "-", "--json")
    assert (done.json["jobs"], done.err) == (0, "0 jobs: stdin has no lines, or only blank ones\n")


def test_jobs_that_were_there_already_are_not_counted_as_new(offload, world, lines, monkeypatch):
    again = ["enqueue", "greet", "--from", lines({}, {}), "--id-prefix", "q"]
    assert offload("enqueue", "greet", "--id", "q-0").code == 0
    done = offload(*again)
    assert done.out.split() == ["q-0", "q-1"]
    assert done.err.splitlines()[-1] == "2 jobs, 1 of them new: the others were there already"
    assert [offload(*again, "--json").json[name] for name in ("enqueued", "new")] == [2, 0]
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert offload(*again).out == "2 jobs are enqueued, none of them new: the others were there already\n"


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ({"key": "k"}, {"key": "k"}, "line 4: key='k' is that of line 2, which has other arguments"),
        ({"id": "a"}, {"id": "a"}, "line 4: id='a' is that of line 2, which differs"),
        ({"id": "a"}, {"id": "q-0"}, "line 4: id='q-0' is the id that the id prefix gives to line 2: give this one"),
    ],
)
def test_two_lines_of_one_name_and_other_payloads_name_each_other(offload, world, lines, first, second, said):
    source = lines("", {"payload": {"name": "ann"}, **first}, "", {"payload": {"name": "bob"}, **second})
    done = offload("enqueue", "greet", "--from", source, "--line-options", "--id-prefix", "q")
    assert done.code == 2
    assert said in done.err
    assert "call" not in done.err
    assert world.waiting() == []


def test_a_key_that_other_arguments_have_fails_its_line_alone(offload, world, lines):
    offload("enqueue", "greet", "--key", "k")
    source = lines("", {"payload": {"name": "ann"}}, {"payload": {"name": "bob"}, "key": "k"})
    done = offload("enqueue", "greet", "--from", source, "--line-options", "--json")
    assert done.code == 2
    told = done.err.splitlines()
    assert told[1].startswith("line 3: key='k' of task 'greet' names job ")
    assert told[-1] == "offload: 1 of 2 jobs was not enqueued, as far as is known"
    assert done.json["failures"][0]["line"] == 3
    assert "call" not in done.err


def test_wrong_options_of_a_line(offload, world, lines):
    source = lines({"payload": {}, "dely": 5}, {"name": "ann"}, {"payload": {}, "eta": "2027-01-01"})
    done = offload("enqueue", "greet", "--from", source, "--line-options")
    assert done.code == 2
    assert "line 1: unknown option 'dely' (did you mean 'delay'?)" in done.err
    assert 'line 2: with --line-options a line is an object such as {"payload": {...}' in done.err
    assert "line 3: eta='2027-01-01' has no time zone" in done.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--payload", "{}"], "--payload is for one job, --from for many: each line has its own payload"),
        (["--id", "a"], "--id is for one job, --from for many: give each line its own id, with --line-options"),
        (["--key", "a"], "give each line its own key, with --line-options"),
        (["--wait"], "--wait is for one job"),
    ],
)
def test_options_of_one_job_say_nothing_of_many(offload, world, lines, options, said):
    done = offload("enqueue", "greet", "--from", lines({}), *options)
    assert done.code == 2
    assert said in done.err


@pytest.mark.parametrize("options", [["--line-options"], ["--id-prefix", "a"]])
def test_options_of_many_need_a_file(offload, world, options):
    done = offload("enqueue", "greet", *options)
    assert done.code == 2
    assert f"{options[0]} needs --from FILE" in done.err


@pytest.mark.parametrize(
    ("arguments", "said", "code"),
    [
        (["--from", "nowhere.jsonl"], "--from nowhere.jsonl: No such file or directory", 2),
        (["--id-prefix", "a b"], "id_prefix='a b' must be PREFIX or PREFIX/SECRET", 2),
    ],
)
def test_what_is_wrong_before_the_first_line(offload, world, lines, arguments, said, code):
    done = offload("enqueue", "greet", "--from", lines({}), *arguments)
    assert done.code == code
    assert said in done.err


def test_a_file_that_is_no_text(offload, world, tmp_path):
    (tmp_path / "jobs").write_bytes(b'{"name": "\xff"}')
    done = offload("enqueue", "greet", "--from", str(tmp_path / "jobs"))
    assert done.code == 2
    assert "line 1: not UTF-8: invalid start byte at byte 11; save the file as UTF-8" in done.err


def test_an_interrupted_command_goes_on_under_its_prefix(offload, world, lines):
    source = lines(*({"name": str(number)} for number in range(25)))
    world.queues.fail("send_batch", KeyboardInterrupt(), skip=1)
    stopped = offload("enqueue", "greet", "--from", source)
    assert stopped.code == 130
    prefix = prefix_of(stopped)
    way = f"of 25 jobs are dealt with; enqueue what is missing with the same command and --id-prefix {prefix}"
    assert way in stopped.err
    assert stopped.err.splitlines()[-1] == "stopped"
    assert len(world.waiting()) == 10

    done = offload("enqueue", "greet", "--from", source, "--id-prefix", prefix)
    assert done.code == 0
    assert len(done.out.splitlines()) == 25
    world.run_until_idle()
    assert len(world.runs) == len({run.job_id for run in world.runs}) == 25


def test_a_stop_before_anything_is_sent_says_so(offload, world, lines, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(world.client, "request", interrupted)
    stopped = offload("enqueue", "greet", "--from", lines({}))
    assert (stopped.code, stopped.err) == (130, "nothing was enqueued\n\nstopped\n")


def test_a_stop_while_ids_are_printed_loses_nothing(offload, world, lines, monkeypatch):
    def interrupted(text, *, error=False):
        if not error:
            raise KeyboardInterrupt
        print(text, file=sys.stderr)

    monkeypatch.setattr("offload.cli.lines.say", interrupted)
    stopped = offload("enqueue", "greet", "--from", lines({}, {}))
    assert stopped.code == 130
    assert (
        f"2 jobs are enqueued; print the ids with the same command and --id-prefix {prefix_of(stopped)}" in stopped.err
    )
    assert len(world.waiting()) == 2


def test_another_error_while_jobs_are_sent_leaves_the_way_on(offload, world, lines):
    world.queues.fail("send_batch", ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        offload("enqueue", "greet", "--from", lines({}), "--id-prefix", "q")


_PROGRAM = """
import sys
from offload import Client
from offload.cli.main import run
from offload.testing import Pipeline
from tests.cli.greeting import greet

with Pipeline(greet) as world:
    Client.from_stack = staticmethod(lambda _: world.client)
    run(sys.argv[1:])
"""


@pytest.mark.parametrize(("closed", "code"), [("stdout", 0), ("stderr", 141)])
def test_a_closed_pipe_ends_the_command_and_leaves_the_way_on(lines, closed, code):
    reader, writer = os.pipe()
    os.close(reader)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, closed: writer}
    with subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, "enqueue", "greet", "--from", lines(*({} for _ in range(2_000)))],
        env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
        text=True,
        **pipes,
    ) as program:
        os.close(writer)
        out, err = program.communicate()
    assert program.returncode == code
    if closed == "stdout":
        first, last = err.splitlines()
        assert last == (
            f"2000 jobs are enqueued; print the ids with the same command and --id-prefix {first.split()[-1]}"
        )
    else:
        assert out == ""


def test_jobs_that_failed_are_named_by_their_lines(offload, world, lines):
    send_batch = world.queues.port.send_batch

    def refuse_bob(queue, each):
        wanted = [message for message in each if Message.decode(message.body).payload["name"] != "bob"]
        answers = iter(send_batch(queue, wanted))
        return [next(answers) if message in wanted else Unavailable("throttled") for message in each]

    world.queues.port.send_batch = refuse_bob
    source = lines({"name": "ann"}, {"name": "bob"})
    done = offload("enqueue", "greet", "--from", source, "--json")
    assert done.code == 4
    assert "line 2: throttled" in done.err.splitlines()
    assert done.err.splitlines()[-1] == "offload: 1 of 2 jobs was not enqueued, as far as is known"
    assert "call 1" not in done.err
    assert done.json["failures"] == [{"line": 2, "error": "throttled"}]
    assert (done.json["enqueued"], done.json["failed"]) == (1, 1)


def test_a_terminal_is_shown_a_bar_and_no_ids(offload, world, lines, monkeypatch):
    for stream in (sys.stdout, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True)
    done = offload("enqueue", "greet", "--from", lines({}, {}))
    assert done.out.strip().endswith("2 jobs are enqueued")
    assert "2/2" in done.err
    assert offload("enqueue", "greet", "--from", lines({})).out.strip().endswith("1 job is enqueued")
