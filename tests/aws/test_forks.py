"""A parent and its children share no connection, lock or client: each gets the answers to its own requests."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from offload.aws import sdk, signed
from offload.aws.credentials import FunctionCredentials

CHILDREN, REQUESTS = 4, 50


class Echo(BaseHTTPRequestHandler):
    """Answers `GetItem` with its key, over kept-alive connections, in pieces: a shared connection mixes them up."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self):
        key = json.loads(self.rfile.read(int(self.headers["content-length"])))["Key"]
        raw = json.dumps({"Item": key}).encode()
        # Some answers take long, so that each process has sent a request into a connection that all would share.
        time.sleep(0.1 if random.random() < 0.1 else random.random() / 500)
        half = len(raw) // 2
        head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(raw)}\r\n\r\n".encode()
        self.connection.sendall(head + raw[:half])
        self.connection.sendall(raw[half:])

    def log_message(self, *_):
        pass


@pytest.fixture(autouse=True)
def _server(credentials, monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    server.handle_error = lambda *_: None
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(sdk, "_session", None)
    for module in (sdk, signed):
        monkeypatch.setattr(module, "ATTEMPTS", 1)  # a second attempt would cover a wrong answer up
    yield
    server.shutdown()
    server.server_close()


def ask(call, who):
    """Make requests, and tell whether each had its own answer."""
    for number in range(REQUESTS):
        key = {"id": {"S": f"{who}-{number}"}}
        if call("GetItem", {"TableName": "t", "Key": key})["Item"] != key:
            return False
    return True


def fork(work):
    """Run `work` in a child; return its process id. The child ends with 0 when `work` returns True."""
    child = os.fork()
    if child:
        return child
    try:
        done = work()
    except BaseException:  # noqa: BLE001 - whatever it is, the child ends here
        os._exit(2)
    os._exit(0 if done else 1)


def ended_well(children):
    """Wait for children, and kill what does not end."""
    until, left, codes = time.monotonic() + 30, set(children), []
    while left and time.monotonic() < until:
        for child in list(left):
            found, status = os.waitpid(child, os.WNOHANG)
            if found:
                left.discard(child)
                codes.append(os.waitstatus_to_exitcode(status))
        time.sleep(0.01)
    for child in left:
        os.kill(child, 9)
        os.waitpid(child, 0)
    return codes == [0] * len(children)


@pytest.fixture(params=["signed", "sdk"])
def call(request):
    made = {"signed": signed, "sdk": sdk}[request.param].caller("dynamodb")
    assert ask(made, "before")  # the parent has an open connection
    return made


def test_each_process_gets_its_own_answers(call):
    gate, opener = os.pipe()

    def ask_with_all_others():
        os.close(opener)
        os.read(gate, 1)  # until the parent opens the gate
        return ask(call, f"child-{os.getpid()}")

    children = [fork(ask_with_all_others) for _ in range(CHILDREN)]
    os.close(opener)
    mine = ask(call, "parent")
    os.close(gate)
    assert ended_well(children)
    assert mine
    assert ask(call, "parent afterwards")


def test_threads_and_forks_together(call):
    """Children are forked while threads of the parent are in the middle of requests, and start threads themselves."""
    answers, stop = [], threading.Event()

    def keep_asking(who):
        while not stop.is_set():
            answers.append(ask(call, who))

    threads = [threading.Thread(target=keep_asking, args=(f"thread-{number}",)) for number in range(2)]
    for thread in threads:
        thread.start()

    def in_threads():
        found = []
        own = [threading.Thread(target=lambda n=n: found.append(ask(call, f"{os.getpid()}-{n}"))) for n in range(2)]
        for thread in own:
            thread.start()
        for thread in own:
            thread.join()
        return found == [True, True]

    children = []
    for _ in range(CHILDREN):
        time.sleep(0.02)
        children.append(fork(in_threads))
    well = ended_well(children)
    stop.set()
    for thread in threads:
        thread.join()
    assert well
    assert answers
    assert all(answers)


def test_a_child_has_none_of_its_parents_connections(monkeypatch):
    call = signed.caller("dynamodb")
    ask(call, "parent")
    ((connection, _),) = call._pools[""]._idle
    descriptor = connection.sock.fileno()

    def none_left():
        try:
            os.fstat(descriptor)
        except OSError:
            return call._pools[""]._idle == []
        return False

    assert ended_well([fork(none_left)])
    assert ask(call, "parent afterwards")


@pytest.mark.parametrize("lock", ["transport", "session"])
def test_a_lock_that_a_thread_of_the_parent_holds_blocks_no_child(lock):
    call = sdk.caller("dynamodb")
    with call._lock if lock == "transport" else sdk._session_lock:
        child = fork(lambda: ask(call, "child"))
    assert ended_well([child])


def test_a_thread_that_fetches_credentials_blocks_no_child(clock, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/")
    source = FunctionCredentials(clock)
    monkeypatch.setattr(source, "_fetch", lambda *_: pytest.fail("the parent fetches"))

    def fetch():
        source._fetch = lambda *_: fetched
        return source.current(1) == "keys"

    class fetched:  # noqa: N801 - stands for an instance
        credentials, until = "keys", None

    with source._lock:
        child = fork(fetch)
    assert ended_well([child])
