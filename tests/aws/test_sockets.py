"""An exchange ends in time, whatever the other end does: real sockets, real seconds."""

from __future__ import annotations

import socket
import ssl
import threading
import time

import pytest

from offload.aws import protocols, signed, sockets
from offload.aws.connections import NotSent, Pool
from offload.core.clock import Deadline, SystemClock
from offload.core.errors import Unavailable

MOST = 0.6
"""Seconds within which half a second is over."""


def until_it_ends(send):
    """Repeat until the client is gone, or three seconds are over: a client without a limit fails, and does not hang."""
    end = time.monotonic() + 3
    try:
        while time.monotonic() < end:
            send()
    except OSError:
        return


def silent(connection):
    connection.settimeout(3)
    until_it_ends(lambda: connection.recv(65536) or time.sleep(0.01))


def dripping_body(connection):
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
    until_it_ends(lambda: (connection.sendall(b" "), time.sleep(0.02)))


def dripping_header(connection):
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nx-endless: ")
    until_it_ends(lambda: (connection.sendall(b"x"), time.sleep(0.02)))


def endless_continue(connection):
    connection.recv(65536)
    until_it_ends(lambda: connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n"))


def endless_chunks(connection):
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    until_it_ends(lambda: (connection.sendall(b"1\r\nx\r\n"), time.sleep(0.01)))


def never_reading(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    time.sleep(2)


@pytest.fixture
def serve(credentials, monkeypatch):
    """Return a starter of servers that treat each connection in one way; it returns the port."""
    listeners = []

    def start(treat):
        listener = socket.create_server(("127.0.0.1", 0), backlog=32)
        listeners.append(listener)

        def accept():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=handle, args=(connection,), daemon=True).start()

        def handle(connection):
            with connection:
                try:
                    treat(connection)
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        return listener.getsockname()[1]

    yield start
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


HANGS = [silent, dripping_body, dripping_header, endless_continue, endless_chunks]


@pytest.mark.parametrize("treat", HANGS, ids=[treat.__name__ for treat in HANGS])
@pytest.mark.parametrize("service", ["dynamodb", "s3"])
def test_an_attempt_ends_in_time_however_the_answer_hangs(serve, monkeypatch, service, treat):
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{serve(treat)}")
    monkeypatch.setattr(protocols, "QUICK", 0.3)
    monkeypatch.setattr(protocols, "SLOW", 0.3)
    monkeypatch.setattr(signed, "ATTEMPTS", 1)
    operation, params = ("GetItem", {}) if service == "dynamodb" else ("GetObject", {"Bucket": "bucket", "Key": "k"})
    began = time.monotonic()
    with pytest.raises(Unavailable, match="timed out"):
        signed.caller(service)(operation, params)
    assert time.monotonic() - began < MOST


@pytest.mark.parametrize("treat", HANGS, ids=[treat.__name__ for treat in HANGS])
def test_a_request_ends_in_time_with_all_its_attempts(serve, monkeypatch, treat):
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{serve(treat)}")
    monkeypatch.setattr(signed, "_LONGEST_SPARE", 0.1)
    monkeypatch.setattr(signed, "_SHORTEST_ATTEMPT", 0.05)
    until, deadline = time.monotonic() + 0.6, Deadline()
    with deadline.during(lambda: until - time.monotonic()), pytest.raises(Unavailable, match="timed out"):
        signed.caller("dynamodb", deadline=deadline)("GetItem", {})
    assert 0 < until - time.monotonic() < 0.3


def test_a_request_that_nobody_reads_ends_in_time(serve, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{serve(never_reading)}")
    monkeypatch.setattr(protocols, "SLOW", 0.3)
    monkeypatch.setattr(signed, "ATTEMPTS", 1)
    began = time.monotonic()
    with pytest.raises(Unavailable, match="timed out"):
        signed.caller("s3")(
            "PutObject", {"Bucket": "bucket", "Key": "k", "Body": bytes(30_000_000), "ContentType": "text/plain"}
        )
    assert time.monotonic() - began < MOST + 0.4  # to hash and sign it takes a moment


def test_a_handshake_that_hangs_ends_in_time(serve):
    began = time.monotonic()
    with pytest.raises(NotSent, match="timed out"):
        Pool(f"https://127.0.0.1:{serve(silent)}", SystemClock()).open(0.3, 0.3)
    assert time.monotonic() - began < MOST


def test_a_handshake_that_drips_ends_in_time(serve):
    def drip(connection):
        connection.recv(65536)
        until_it_ends(lambda: (connection.sendall(b"\x16"), time.sleep(0.02)))

    began = time.monotonic()
    with pytest.raises(OSError, match=r"timed out|SSL"):
        sockets.connect("127.0.0.1", serve(drip), sockets.TimeLimit(0.3), ssl.create_default_context())
    assert time.monotonic() - began < MOST


def test_a_name_that_is_not_resolved_ends_in_time(monkeypatch):
    ask = socket.getaddrinfo

    def slow(host, port, **options):
        if not options.get("flags"):
            time.sleep(1)
        return ask(host, port, **options)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    began = time.monotonic()
    with pytest.raises(TimeoutError, match="localhost was not resolved"):
        sockets.connect("localhost", 1, sockets.TimeLimit(0.3))
    assert time.monotonic() - began < MOST


def test_a_name_that_does_not_exist_is_told():
    with pytest.raises(OSError, match=r"(?i)name|resol"):
        sockets.connect("no-such-host.invalid", 1, sockets.TimeLimit(5))


def test_an_address_that_does_not_answer_leaves_time_for_the_next(serve, monkeypatch):
    port = serve(silent)
    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    waiting = [socket.socket() for _ in range(4)]  # the listener's queue is full, so a further connection hangs
    for each in waiting:
        each.setblocking(False)
        each.connect_ex(full.getsockname())
    addresses = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", at)) for at in (full.getsockname()[1], port)]
    monkeypatch.setattr(sockets, "_resolve", lambda *_: addresses)
    sockets.connect("two-addresses", 1, sockets.TimeLimit(0.4)).close()
    for each in (*waiting, full):
        each.close()


def test_nothing_is_sent_before_an_exchange_begins(serve):
    timed = sockets.connect("127.0.0.1", serve(silent), sockets.TimeLimit(1))
    with pytest.raises(TimeoutError):
        timed.sendall(b"x")
    timed.close()
