"""One POST to a checked address, from the first packet to the last header within one deadline.

The standard library's timeouts bound one read each: a receiver that sends a byte at a time, or one `100 Continue` after
the other, never meets them. Here each wait is as long as the time that is left for the whole delivery.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .target import Target

MOST_ADDRESSES = 4
"""Addresses of one host that are tried."""
_LONGEST_CONNECT = 5.0
"""Seconds for one address, so that one silent address leaves time for the next."""


class Deadline:
    """The end of a delivery."""

    def __init__(self, seconds: float) -> None:
        """End in so many seconds."""
        self._at = time.monotonic() + seconds

    def left(self) -> float:
        """Return the seconds that are left.

        Raises:
            TimeoutError: None are left.
        """
        left = self._at - time.monotonic()
        if left <= 0:
            raise TimeoutError("the receiver took too long")
        return left


def post(target: Target, body: bytes, headers: Mapping[str, str], deadline: Deadline) -> tuple[int, str | None]:
    """Post to the first of the target's addresses that accepts a connection; return the status and Retry-After.

    The request goes to the checked address, through no proxy. The host's name is in the Host header, in SNI, and in the
    check of the certificate. Redirects are not followed, and the answer's body is not read.

    Raises:
        OSError: No address was reached, the certificate is wrong, or the time is over.
        http.client.HTTPException: The receiver does not speak HTTP.
    """
    problem: OSError = OSError("no address")
    for address in target.addresses[:MOST_ADDRESSES]:
        try:
            plain = socket.create_connection((str(address), target.port), min(deadline.left(), _LONGEST_CONNECT))
        except OSError as error:
            problem = error  # nothing was sent, so the next address can be tried
            continue
        with plain, closing(_Connection(target, plain, deadline)) as connection:
            connection.request("POST", target.path, body, dict(headers))
            answer = connection.getresponse()
            return answer.status, answer.headers.get("Retry-After")
    raise problem


def within(deadline: Deadline, look_up: Callable[[], Any]) -> Any:
    """Call a function that cannot be interrupted, such as a look-up of a name, and wait until the deadline.

    Raises:
        TimeoutError: The function did not return in time; its thread ends with it.
    """
    outcome: list[tuple[Any, BaseException | None]] = []

    def call() -> None:
        try:
            outcome.append((look_up(), None))
        except BaseException as error:  # it is raised in the caller's thread
            outcome.append((None, error))

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(deadline.left())
    if not outcome:
        raise TimeoutError("the look-up of the receiver's name took too long")
    found, error = outcome[0]
    if error is not None:
        raise error
    return found


class _Connection(http.client.HTTPConnection):
    """HTTP over a connection that exists already."""

    def __init__(self, target: Target, plain: socket.socket, deadline: Deadline) -> None:
        super().__init__(target.host, target.port)
        plain.settimeout(deadline.left())
        secured = plain
        if target.secure:
            # The handshake as a whole must end within the socket's timeout.
            secured = ssl.create_default_context().wrap_socket(plain, server_hostname=target.host.strip("[]"))
        self.sock = cast("Any", _TimedSocket(secured, deadline))


class _TimedSocket:
    """A socket that waits only until the deadline, with the methods that `http.client` calls."""

    def __init__(self, inner: socket.socket, deadline: Deadline) -> None:
        self.inner, self.deadline = inner, deadline

    def sendall(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            self.inner.settimeout(self.deadline.left())
            rest = rest[self.inner.send(rest) :]

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_TimedReader(self))

    def close(self) -> None:
        self.inner.close()


class _TimedReader(io.RawIOBase):
    def __init__(self, timed: _TimedSocket) -> None:
        self._timed = timed

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._timed.inner.settimeout(self._timed.deadline.left())
        return self._timed.inner.recv_into(buffer)
