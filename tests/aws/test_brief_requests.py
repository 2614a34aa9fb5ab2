"""Requests that are worth a second or two, against a table that accepts and never answers."""

from __future__ import annotations

import socket
import time

import pytest

from offload.aws import signed
from offload.aws.calls import BRIEF_SECONDS
from offload.aws.table import JobTable
from offload.core.clock import Deadline
from offload.core.errors import Unavailable
from offload.core.writes import Write

WRITE = Write("job", set={"a": 1})


@pytest.fixture(autouse=True)
def silent(monkeypatch):
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:  # the system accepts, and nobody reads
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", f"http://127.0.0.1:{listener.getsockname()[1]}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        monkeypatch.setenv("AWS_REGION", "eu-north-1")
        yield listener


def seconds_of(request):
    began_at = time.monotonic()
    with pytest.raises(Unavailable):
        request()
    return time.monotonic() - began_at


@pytest.mark.parametrize(
    "ask", [lambda table: table.apply(WRITE, brief=True), lambda table: table.get("job", brief=True)]
)
def test_a_brief_request_ends_and_leaves_the_time_of_others(ask):
    deadline = Deadline()
    table = JobTable(signed.caller("dynamodb", deadline=deadline), "jobs")
    began_at = time.monotonic()
    with deadline.during(lambda: 60 - (time.monotonic() - began_at)):
        assert BRIEF_SECONDS * 0.9 <= seconds_of(lambda: ask(table)) <= BRIEF_SECONDS + 0.5
        assert deadline.begin("dynamodb", 100.0).left() > 20  # the service does not count as one that ran out of time


def test_a_brief_request_ends_before_its_invocation_all_the_same():
    deadline = Deadline()
    table = JobTable(signed.caller("dynamodb", deadline=deadline), "jobs")
    began_at = time.monotonic()
    with deadline.during(lambda: 2 - (time.monotonic() - began_at)):
        assert seconds_of(lambda: table.apply(WRITE, brief=True)) <= 1.2


def test_the_service_is_not_told_that_a_request_is_brief(silent):
    table = JobTable(signed.caller("dynamodb"), "jobs")
    seconds_of(lambda: table.get("job", brief=True))
    connection, _ = silent.accept()
    with connection:
        assert b"GetItem" in (asked := connection.recv(65_536))
        assert b"Brief" not in asked
