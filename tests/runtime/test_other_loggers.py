"""The lines of other loggers stay as they are, and become JSON when `JsonLogs` is registered."""

from __future__ import annotations

import json
import logging
from contextlib import contextmanager
from io import StringIO

import pytest

from offload import Retry, current_job
from offload.runtime.logs import JsonLogs
from tests.runtime.scripted_task import ScriptedTask, fail
from tests.runtime.worker_log import logger_restored

ROOT = logging.getLogger()


@contextmanager
def root_logger_of_lambda():
    """Set the root logger up as Lambda does, with one handler of its own; yields what that writes."""
    written = StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
    with logger_restored(ROOT):
        ROOT.handlers[:] = [handler]
        ROOT.setLevel(logging.WARNING)
        yield written


def test_a_worker_leaves_the_root_logger_as_it_is(deploy):
    with root_logger_of_lambda():
        pipeline = deploy(work := ScriptedTask())
        (handler,) = ROOT.handlers
        formatter = handler.formatter

        work.delay("a")
        pipeline.drain()

        assert (ROOT.handlers, ROOT.level) == ([handler], logging.WARNING)
        assert (handler.formatter, handler.filters) == (formatter, [])


@pytest.mark.parametrize("name", ["functions.work.handler", "work", "some.library"])
def test_the_lines_of_other_loggers_are_written_as_they_were(deploy, worker_log, name):
    with root_logger_of_lambda() as written:
        pipeline = deploy(work := ScriptedTask())
        work.on_run(1, lambda: logging.getLogger(name).warning("halfway"))

        work.delay("a")
        pipeline.drain()

        assert written.getvalue() == f"{name}: halfway\n"
        assert [line["message"] for line in worker_log.lines] == ["job ended"]


# JSON for all of them


def test_json_logs_change_nothing_before_a_worker_starts(register):
    with root_logger_of_lambda() as written:
        register(JsonLogs())

        logging.getLogger("some.library").warning("nothing runs yet")

        assert written.getvalue() == "some.library: nothing runs yet\n"


@pytest.mark.parametrize("ends", ["succeeds", "fails", "cannot be recorded"])
def test_json_logs_write_the_lines_of_every_logger_with_the_job_that_runs(deploy, register, capsys, ends):
    with root_logger_of_lambda() as written:
        register(JsonLogs())
        pipeline = deploy(work := ScriptedTask(retry=Retry(max_attempts=3, base="1s")))
        job = work.delay("a")

        def log_by_many_loggers():
            for name in ("functions.work.handler", "some.library", "offload.client.sender"):
                logging.getLogger(name).info("attempt %d of %s", current_job().attempt, name)
            if ends == "fails":
                fail()
            if ends == "cannot be recorded":
                pipeline.store.port.change(job.id, lease="another's")

        work.on_run(1, log_by_many_loggers)
        pipeline.poll()
        logging.getLogger("some.library").warning("between jobs")

    assert written.getvalue() == ""
    lines = [line for line in map(json.loads, capsys.readouterr().out.splitlines()) if "_aws" not in line]
    of_the_run = [line for line in lines if line["message"].startswith("attempt 1 of")]
    assert len(of_the_run) == 3
    for line in of_the_run:
        assert (line["job_id"], line["attempt"], line["service"]) == (job.id, 1, "work")
    (after,) = [line for line in lines if line["message"] == "between jobs"]
    assert "job_id" not in after
    assert "attempt" not in after
