"""What a reader of records, errors and logs finds of a secret argument."""

from __future__ import annotations

import ast
import json
import logging
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import AfterValidator, TypeAdapter

import offload
from offload import Permanent, Retry, RetryLater, Secret, State, current_job, task
from offload.core import redaction
from offload.runtime.logs import write_json

TOKEN = "tok-4711-secret"


def refuse(text):
    raise ValueError(f"{text} is no token")


Refused = Annotated[str, AfterValidator(refuse)]


def everything(pipeline, job_id):
    """Return all that the job table knows of a job, as one text."""
    return json.dumps(pipeline.record(job_id), default=str)


class Broken(Exception):
    def __str__(self):
        return f"call failed: Authorization: Bearer {TOKEN}" + "x" * 990 + TOKEN


def ways_to_say(token):
    def chained():
        try:
            raise ValueError(f"inner {token}")  # noqa: TRY301
        except ValueError as error:
            raise RuntimeError("outer") from error

    def noted():
        error = ValueError("see note")
        error.add_note(f"note: {token}")
        raise error

    def raised(error):
        raise error

    return {
        "message": lambda: raised(ValueError(f"bad token {token!r}")),
        "permanent": lambda: raised(Permanent(token)),
        "later": lambda: raised(RetryLater(f"later, {token}")),
        "broken": lambda: raised(Broken()),
        "chained": chained,
        "note": noted,
        "group": lambda: raised(ExceptionGroup(token, [ValueError(token)])),
        "exit": lambda: raised(SystemExit(token)),
        "cut": lambda: raised(ValueError("x" * (1_000 - 8) + token)),
    }


@pytest.mark.parametrize("read", [int, TypeAdapter(int).validate_python, {}.__getitem__, float])
def test_an_error_that_quotes_a_part_of_its_argument_shows_no_secret(deploy, read):
    @task(retry=Retry(max_attempts=2, base="10s", jitter=False))
    def charge(token: Secret[str]) -> None:
        read(token)

    pipeline = deploy(charge)
    token = "eyJhbGciOiJIUzI1NiJ9." + "A1b2C3d4" * 40
    job = charge.delay(token)
    pipeline.run_until_idle()
    known = everything(pipeline, job.id)
    assert "***" in known
    assert not any(token[at : at + 6] in known for at in range(len(token) - 5))


@pytest.mark.parametrize("fails", [False, True])
def test_a_run_without_an_error_cuts_no_secrets(deploy, fails, monkeypatch):
    cuts = []
    cut = redaction.Pieces
    monkeypatch.setattr(redaction, "Pieces", lambda secrets: cuts.append(secrets) or cut(secrets))

    @task(retry=Retry(max_attempts=1))
    def charge(token: Secret[str]) -> None:
        if fails:
            raise ValueError(token)

    pipeline = deploy(charge)
    job = charge.delay(TOKEN)
    pipeline.run_until_idle()
    assert pipeline.job(job.id).state is (State.FAILED if fails else State.SUCCEEDED)
    assert len(cuts) == (1 if fails else 0)


def test_what_the_library_logs_below_a_warning_has_no_text_of_a_task():
    """Such lines are not redacted: each has a fixed message, and keys that name no error."""
    calls = [
        call
        for file in Path(offload.__file__).parent.rglob("*.py")
        for call in ast.walk(ast.parse(file.read_text()))
        if isinstance(call, ast.Call) and ast.unparse(call.func) in ("_log.info", "_log.debug", "_log.log")
    ]
    assert calls
    for call in calls:
        (message,) = call.args
        assert isinstance(message, ast.Constant)
        assert {keyword.arg for keyword in call.keywords} <= {"extra"}
        assert "error" not in ast.unparse(call)


@pytest.mark.parametrize("way", list(ways_to_say("")))
@pytest.mark.parametrize("attempts", [1, 2])
def test_an_error_shows_no_secret(deploy, way, attempts):
    @task(retry=Retry(max_attempts=attempts, base="10s", jitter=False))
    def charge(token: Secret[str]) -> None:
        current_job().progress(1, stage=f"charging {token}")
        ways_to_say(token)[way]()

    pipeline = deploy(charge)
    job = charge.delay(TOKEN)
    pipeline.run_until_idle()
    known = everything(pipeline, job.id)
    assert pipeline.job(job.id).state is State.FAILED
    assert "***" in known
    assert TOKEN not in known
    assert TOKEN[:8] not in known
    (dead,) = pipeline.dead()
    assert TOKEN in dead.body  # the value travels in the message, and only there


def test_a_payload_that_does_not_fit_shows_no_secret(deploy):
    @task
    def charge(token: Secret[Refused]) -> None: ...

    pipeline = deploy(charge)
    job_id = pipeline.send(json.dumps({"payload": {"token": TOKEN}}))
    pipeline.run_until_idle()
    assert "*** is no token" in pipeline.job(job_id).error["message"]
    assert TOKEN not in everything(pipeline, job_id)


def test_each_job_of_a_batch_has_its_own_secrets(deploy):
    @task(retry=Retry(max_attempts=1))
    def charge(name: str, token: Secret[str] | None = None) -> None:
        raise ValueError(name)

    pipeline = deploy(charge)
    jobs = [charge.delay("alpha", "alpha"), charge.delay("alpha"), charge.delay("beta", "beta")]
    pipeline.run_until_idle()
    assert [pipeline.job(job.id).error["message"] for job in jobs] == ["***", "alpha", "***"]


def test_a_log_line_shows_no_secret(deploy, capsys):
    logger = logging.getLogger("tests.secrets")
    logger.propagate = False
    write_json(logger, "charge")
    logger.handlers[0].setStream(__import__("sys").stdout)

    @task(retry=Retry(max_attempts=1))
    def charge(token: Secret[str]) -> None:
        logger.info("using %s", token, extra={"header": f"Bearer {token}"})
        with suppress(ValueError):
            raise ValueError(token)
        try:
            raise ValueError(token)  # noqa: TRY301
        except ValueError:
            logger.exception("failed")

    pipeline = deploy(charge)
    charge.delay(TOKEN)
    pipeline.run_until_idle()
    printed = capsys.readouterr().out
    lines = [json.loads(line) for line in printed.splitlines() if '"charge"' in line and "message" in line]
    assert {line["message"] for line in lines} >= {"using ***", "failed"}
    assert TOKEN not in printed
