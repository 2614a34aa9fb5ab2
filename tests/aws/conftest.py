"""A loopback HTTP server that misbehaves as told."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from offload.memory.clock import VirtualClock

if TYPE_CHECKING:
    from collections.abc import Callable

    Step = Callable[[socket.socket], bool]


def reply(body: Any = None, status: int = 200, **headers: str) -> Step:
    """Answer; keeps the connection."""
    raw = body if isinstance(body, bytes) else json.dumps(body if body is not None else {}).encode()
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())

    def act(connection: socket.socket) -> bool:
        head = f"HTTP/1.1 {status} Whatever\r\nContent-Length: {len(raw)}\r\n{lines}\r\n"
        connection.sendall(head.encode() + raw)
        return True

    return act


def fault(code: str, status: int = 400, **more: Any) -> Step:
    """Answer with an AWS error."""
    return reply({"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "because", **more}, status)


def hang_up(connection: socket.socket) -> bool:
    """Close without an answer."""
    return False


def reset(connection: socket.socket) -> bool:
    """Reset the connection without an answer."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


def break_off(connection: socket.socket) -> bool:
    """Begin an answer and reset in the middle of its body."""
    connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"Attributes": ')
    return reset(connection)


def answer_and_close(body: Any) -> Step:
    """Answer, then close a connection the client believes kept."""

    def act(connection: socket.socket) -> bool:
        reply(body)(connection)
        return False

    return act


def late(seconds: float, body: Any) -> Step:
    """Answer after a while."""

    def act(connection: socket.socket) -> bool:
        time.sleep(seconds)
        return reply(body)(connection)

    return act


@dataclass
class Request:
    headers: dict[str, str]
    body: Any
    connection: int


@dataclass
class Loopback:
    """Takes one step a request; with none left it answers `{}`."""

    steps: list[Step] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    connections: int = 0

    reply = staticmethod(reply)
    fault = staticmethod(fault)
    hang_up = staticmethod(hang_up)
    reset = staticmethod(reset)
    break_off = staticmethod(break_off)
    answer_and_close = staticmethod(answer_and_close)
    late = staticmethod(late)

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        # Closing alone does not wake a thread that waits in accept.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection, self.connections), daemon=True).start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        with connection, connection.makefile("rb") as stream:
            try:
                while line := stream.readline():
                    assert line == b"POST / HTTP/1.1\r\n", line
                    self.requests.append(_read(stream, number))
                    step = self.steps.pop(0) if self.steps else reply()
                    if not step(connection):
                        return
            except OSError:
                return


def _read(stream: Any, number: int) -> Request:
    headers = {}
    while (line := stream.readline().decode().strip()) != "":
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return Request(headers, json.loads(stream.read(int(headers["content-length"]))), number)


@pytest.fixture
def credentials(monkeypatch):
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_SQS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-that-must-not-show")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token-that-must-not-show")
    monkeypatch.setenv("AWS_REGION", "eu-north-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-north-1")


@pytest.fixture
def loopback(credentials, monkeypatch):
    server = Loopback()
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.address)
    yield server
    server.close()


@dataclass
class Watched(VirtualClock):
    """A virtual clock that tells how long was slept."""

    slept: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        super().sleep(seconds)


@pytest.fixture
def clock() -> Watched:
    return Watched()
