from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from offload.aws import signed
from offload.aws.calls import Rejected
from offload.aws.credentials import REFRESH_BEFORE_MS, FunctionCredentials
from offload.core.clock import iso
from offload.core.errors import Unavailable


class Endpoint:
    """Hands out keys by number: `key-1`, then `key-2`."""

    def __init__(self, clock):
        self.clock, self.life, self.handed, self.statuses, self.seen = clock, 3_600_000, 0, [], []
        self.delay = threading.Event()
        self.delay.set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.seen.append((self.path, self.headers["authorization"]))
                outer.delay.wait(5)
                status = outer.statuses.pop(0) if outer.statuses else 200
                raw = outer.body() if status == 200 else b"secret-that-must-not-show"
                self.send_response(status)
                self.send_header("content-length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *_: None  # a client that gives up is part of the tests
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def body(self):
        self.handed += 1
        until = iso(self.clock.now() + self.life)
        return (
            f'{{"AccessKeyId": "key-{self.handed}", "SecretAccessKey": "s{self.handed}", '
            f'"Token": "t{self.handed}", "Expiration": "{until}"}}'
        ).encode()


@pytest.fixture
def endpoint(credentials, clock, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    made = Endpoint(clock)
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{made.address}/2021-02-25/credentials?a=b")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "Basic abc")
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_the_environment_comes_first(credentials, clock, monkeypatch):
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/")
    assert FunctionCredentials(clock).current(1).access_key == "AKIDEXAMPLE"


def test_a_function_without_keys_fetches_them_with_its_token_and_keeps_them(endpoint, clock):
    source = FunctionCredentials(clock)
    for _ in range(3):
        fetched = source.current(1)
    assert (fetched.access_key, fetched.secret_key, fetched.token) == ("key-1", "s1", "t1")
    assert endpoint.seen == [("/2021-02-25/credentials?a=b", "Basic abc")]


def test_the_token_may_be_in_a_file_that_changes(endpoint, clock, monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(tmp_path / "token"))
    source = FunctionCredentials(clock)
    with pytest.raises(Rejected, match="AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"):
        source.current(1)
    endpoint.life = 0
    for token in ("one", "two"):
        (tmp_path / "token").write_text(token + "\n")
        source.current(1)
    assert [token for _, token in endpoint.seen] == ["one", "two"]
    (tmp_path / "token").write_text("a\r\nhost: evil")
    with pytest.raises(Rejected, match="line break"):
        source.current(1)


def test_keys_are_fetched_anew_before_they_end(endpoint, clock):
    source = FunctionCredentials(clock)
    source.current(1)
    clock.advance((endpoint.life - REFRESH_BEFORE_MS) / 1000 - 1)
    assert source.current(1).access_key == "key-1"
    clock.advance(1)
    assert source.current(1).access_key == "key-2"


def test_an_endpoint_that_fails_leaves_what_there_is_until_its_end(endpoint, clock):
    source = FunctionCredentials(clock)
    source.current(1)
    clock.advance((endpoint.life - REFRESH_BEFORE_MS) / 1000)
    endpoint.statuses = [500] * 3
    assert source.current(1).access_key == "key-1"
    endpoint.statuses = [400]
    assert source.current(1).access_key == "key-1"
    clock.advance(REFRESH_BEFORE_MS / 1000)
    endpoint.statuses = [500] * 3
    with pytest.raises(Unavailable, match="HTTP 500"):
        source.current(1)
    endpoint.statuses = [403]
    with pytest.raises(Rejected, match="HTTP 403") as caught:
        source.current(1)
    assert not caught.value.lasting
    assert "must-not-show" not in str(caught.value)


def test_many_threads_fetch_once(endpoint, clock):
    source, found = FunctionCredentials(clock), []
    endpoint.delay.clear()
    threads = [threading.Thread(target=lambda: found.append(source.current(5).access_key)) for _ in range(8)]
    for thread in threads:
        thread.start()
    endpoint.delay.set()
    for thread in threads:
        thread.join()
    assert found == ["key-1"] * 8
    assert endpoint.handed == 1


def test_an_endpoint_that_is_silent_costs_no_more_than_the_time_left(endpoint, clock):
    endpoint.delay.clear()
    with pytest.raises(Unavailable, match="no answer from http://127"):
        FunctionCredentials(clock).current(0.05)
    endpoint.delay.set()


@pytest.mark.parametrize("address", ["http://evil.example/", "http://10.0.0.1/", "http://169.254.169.254/"])
def test_the_token_is_told_to_no_other_machine_without_tls(endpoint, clock, monkeypatch, address):
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", address)
    with pytest.raises(Rejected, match="neither https nor an address of this machine"):
        FunctionCredentials(clock).current(1)


@pytest.mark.parametrize("code", ["ExpiredTokenException", "UnrecognizedClientException"])
def test_a_service_that_does_not_take_the_keys_gets_others_once(endpoint, loopback, clock, code):
    call = signed.caller("dynamodb", clock=clock)
    loopback.steps = [loopback.reply(), loopback.fault(code), loopback.reply({"n": 1})]
    call("GetItem", {})
    assert call("GetItem", {}) == {"n": 1}
    keys = [request.headers["authorization"].split("=")[1].split("/")[0] for request in loopback.requests]
    assert keys == ["key-1", "key-1", "key-2"]
    assert clock.slept == []
    loopback.steps = [loopback.fault(code), loopback.fault(code)]
    with pytest.raises(Rejected, match=code) as caught:
        call("GetItem", {})
    assert not caught.value.lasting
    assert len(loopback.requests) == 5


def test_keys_of_the_environment_are_not_tried_twice(loopback, clock):
    loopback.steps = [loopback.fault("ExpiredTokenException") for _ in range(3)]
    with pytest.raises(Rejected, match="ExpiredTokenException"):
        signed.caller("dynamodb", clock=clock)("GetItem", {})
    assert len(loopback.requests) == 1
