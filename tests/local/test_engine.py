import json
import os
import signal
import socket
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from offload.local import processes, record, tools
from offload.local.engine import Engine
from offload.local.errors import LocalError, NotRunning
from offload.local.layout import Layout
from offload.local.progress import Silent
from offload.local.record import Record

STAND_IN = """#!/bin/sh
exec "{python}" -c '
import http.server, os
class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"{{\\"status\\": \\"completed\\"}}")
http.server.HTTPServer(("127.0.0.1", int(os.environ["GATEWAY_PORT"])), Ready).serve_forever()
'
"""


@pytest.fixture
def engine(tmp_path, monkeypatch):
    """An engine whose program is a stand-in that only answers."""
    import sys

    program = tmp_path / "python"
    program.write_text(STAND_IN.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setattr(tools, "engine", lambda *_: program)
    engine = Engine(Layout(tmp_path, tmp_path / "state"), progress=Silent())
    yield engine
    engine.kill()


@pytest.fixture
def taken():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def test_start_and_stop(engine):
    assert not engine.is_running()
    assert engine.start() is True
    assert engine.is_healthy()
    assert engine.endpoint == f"http://127.0.0.1:{engine.port}"
    pid = engine.record.pid
    assert engine.start() is False
    assert engine.record.pid == pid
    assert engine.stop() is True
    assert not engine.is_running()
    assert engine.stop() is False


def test_the_last_port_is_used_again_while_it_is_free(engine, taken):
    engine.start()
    port = engine.port
    engine.stop()
    engine.start()
    assert engine.port == port
    engine.stop()
    record.write(engine.layout.record, replace(engine.record, port=taken))
    engine.layout.services.mkdir(parents=True, exist_ok=True)
    kept = engine.layout.services / "sqs.json"
    kept.write_text(f'"http://localhost:{taken}/q"')
    engine.start()
    assert engine.port != taken
    assert json.loads(kept.read_text()) == f"http://localhost:{engine.port}/q"


def test_a_port_that_is_asked_for_and_taken_is_refused(engine, taken):
    with pytest.raises(LocalError, match=f"port {taken} is in use"):
        engine.start(taken)


def test_another_port_than_the_running_one_is_refused(engine):
    engine.start()
    with pytest.raises(LocalError, match=f"runs on port {engine.port} already"):
        engine.start(engine.port + 1)


def test_a_record_that_names_somebody_elses_process_is_not_believed(engine):
    """The pid was given to another program: it must never be signalled."""
    mine = os.getpid()
    record.write(engine.layout.record, Record(port=4566, pid=mine, birth="long ago"))
    assert not engine.is_running()
    assert engine.stop() is False
    assert engine.record.pid is None


def test_a_killed_engine_is_noticed_and_started_again(engine):
    engine.start()
    first = engine.record
    engine.kill()
    record.write(engine.layout.record, first)
    assert not engine.is_running()
    with pytest.raises(NotRunning):
        _ = engine.endpoint
    assert engine.start() is True


def test_an_engine_that_ends_while_starting_tells_why(engine, tmp_path):
    (tmp_path / "python").write_text("#!/bin/sh\necho no such module; exit 1\n")
    with pytest.raises(LocalError, match="no such module"):
        engine.start()
    assert engine.record.pid is None


def test_an_interrupted_start_leaves_nothing_running(engine, monkeypatch):
    def interrupt(_port):
        raise KeyboardInterrupt

    monkeypatch.setattr(engine, "_await_answer", interrupt)
    spawned = []
    spawn = processes.spawn_detached
    monkeypatch.setattr(processes, "spawn_detached", lambda *given: spawned.append(spawn(*given)) or spawned[0])
    with pytest.raises(KeyboardInterrupt):
        engine.start()
    assert processes.birth(spawned[0]) is None


def test_state_is_removed_only_of_a_stopped_engine(engine):
    engine.start()
    with pytest.raises(LocalError, match="stop it"):
        engine.delete()
    engine.stop()
    engine.delete()
    assert not engine.layout.state.exists()


def test_health_is_more_than_a_process(engine):
    engine.start()
    os.kill(engine.record.pid, signal.SIGSTOP)
    try:
        assert engine.is_running()
        assert not engine.is_healthy()
    finally:
        os.kill(engine.record.pid, signal.SIGCONT)


def test_another_server_on_the_port_is_not_the_engine(engine):
    class Other(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'"hello"')

        def log_message(self, *_):
            pass

    from offload.local import engine as module

    with HTTPServer(("127.0.0.1", 0), Other) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        assert not module._answers(server.server_address[1])
        server.shutdown()
        thread.join()


def test_an_engine_that_runs_is_not_yet_deployed(engine):
    engine.start()
    assert (engine.is_running(), engine.is_deployed()) == (True, False)
    with pytest.raises(LocalError, match="no stack is deployed after 100ms: look at what `offload local up` says"):
        engine.await_deployed(0.1)
    engine.begin_deployment()
    engine.end_deployment("offload")
    assert engine.is_deployed()
    engine.await_deployed(0)
    engine.begin_deployment()
    assert not engine.is_deployed()
    assert engine.record.stack == "offload"


def test_what_is_deployed_outlives_a_stop_and_no_kill(engine):
    engine.start()
    engine.end_deployment("offload")
    engine.stop()
    assert not engine.is_deployed()
    engine.start()
    assert engine.is_deployed()
    killed = engine.record
    engine.kill()
    record.write(engine.layout.record, killed)  # as the record of an engine that somebody else has killed
    engine.start()
    assert (engine.record.stack, engine.is_deployed()) == ("offload", False)
    engine.end_deployment("offload")
    engine.kill()
    engine.start()
    assert not engine.is_deployed()


def test_a_wait_ends_with_the_deployment_of_an_engine_that_did_not_run_yet(engine):
    def deploy():
        engine.start()
        engine.begin_deployment()
        engine.end_deployment("offload")

    other = threading.Thread(target=deploy)
    other.start()
    try:
        engine.await_deployed(60)
    finally:
        other.join()
    assert engine.is_deployed()
