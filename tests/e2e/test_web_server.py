"""A preloading web server: each request gets the result of its own job. `make soak` does it with thousands."""

from __future__ import annotations

import uuid

from tests.soak.web_server import ask_at_once, serving


def test_each_request_gets_the_result_of_its_own_job(stack, tmp_path):
    with serving(tmp_path / "server.log", workers=4, threads=8) as port:
        answers = ask_at_once(port, [uuid.uuid4().hex for _ in range(100)])

    assert answers.wrong == answers.failed == [], (tmp_path / "server.log").read_text()[-3000:]
    assert len(answers.seconds) == 100
    assert len(answers.processes) == 4
