import json

import pytest

from demo import __main__ as program
from demo.trials import Expected, Trial
from demo.verdicts import Verdict
from offload import Job, State
from offload.local.errors import LocalError

TRIAL = Trial("a mail", "send_email", "job-1", Expected())


def verdict(state):
    return Verdict.of(TRIAL, Job(id="job-1", task="send_email", state=state, attempt=1), dead_letter=False)


@pytest.fixture
def playing(monkeypatch):
    def play_as(outcome):
        def play(layout, *, progress, console):
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome

        monkeypatch.setattr(program, "play", play)

    return play_as


def test_jobs_that_ended_as_they_should_exit_with_0(playing, capsys):
    playing([verdict(State.SUCCEEDED)])
    assert program.main([]) == 0
    assert "How each job ended" in capsys.readouterr().out


def test_a_job_that_ended_otherwise_exits_with_1(playing, capsys):
    playing([verdict(State.SUCCEEDED), verdict(State.CANCELLED)])
    assert program.main(["--json"]) == 1
    first, second = json.loads(capsys.readouterr().out)
    assert first == {
        "task": "send_email",
        "what": "a mail",
        "job_id": "job-1",
        "expected": "SUCCEEDED",
        "state": "SUCCEEDED",
        "attempts": 1,
        "seconds": None,
        "in_dlq": False,
        "reason": "",
        "ok": True,
        "difference": None,
    }
    assert second["difference"] == "is CANCELLED, not SUCCEEDED"


def test_a_set_up_that_fails_is_one_clear_line(playing, capsys):
    playing(LocalError("no Node on PATH: install Node 20 or later"))
    assert program.main([]) == 1
    assert capsys.readouterr().err == "Error: no Node on PATH: install Node 20 or later\n"


def test_an_interrupt_exits_with_130(playing, capsys):
    playing(KeyboardInterrupt())
    assert program.main([]) == 130
    assert capsys.readouterr().err == "\nstopped\n"


def test_an_unknown_option_exits_with_2(capsys):
    with pytest.raises(SystemExit) as left:
        program.main(["--nope"])
    assert left.value.code == 2
