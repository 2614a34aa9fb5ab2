"""Sockets whose every use ends by a point in time, whatever the other end does.

A socket's own timeout begins anew with each byte: an end that sends one byte a second is never late. Here the time of
an exchange is bounded as a whole: the name that is not resolved, the handshake that hangs, the answer that drips, the
`100 Continue` that is repeated for ever.
"""

from __future__ import annotations

import io
import os
import socket
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from typing_extensions import Buffer


class TimeLimit:
    """A time that begins with its object."""

    def __init__(self, seconds: float) -> None:
        """Begin."""
        self._until = time.monotonic() + seconds

    def left(self) -> float:
        """Return the seconds left.

        Raises:
            TimeoutError: There are none.
        """
        left = self._until - time.monotonic()
        if left <= 0:
            msg = "timed out"
            raise TimeoutError(msg)
        return left


_open: weakref.WeakSet[TimedSocket] = weakref.WeakSet()


class TimedSocket:
    """A connected socket, as `http.client` uses one."""

    def __init__(self, sock: socket.socket) -> None:
        """Wrap a connected socket; nothing may be sent before `allow`."""
        self._socket = sock
        self._limit, self._idle = TimeLimit(0), 0.0
        _open.add(self)

    def allow(self, limit: TimeLimit, idle: float) -> None:
        """Begin an exchange that may take as long as `limit`, and `idle` seconds without a byte."""
        self._limit, self._idle = limit, idle

    def sendall(self, data: bytes) -> None:
        """Send all of the data."""
        rest = memoryview(data)
        while rest:
            self._arm()
            rest = rest[self._socket.send(rest) :]

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return a reader of what arrives."""
        return io.BufferedReader(_Reader(self._socket.makefile("rb", buffering=0), self._arm))

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the socket; a reader that is still open keeps it until its own end."""
        self._socket.close()

    def abandon(self) -> None:
        """Close this process's descriptor alone, whoever uses the socket: another process has the same connection."""
        descriptor = self._socket.detach()
        if descriptor >= 0:
            os.close(descriptor)

    def _arm(self) -> None:
        self._socket.settimeout(min(self._limit.left(), self._idle))


class _Reader(io.RawIOBase):
    def __init__(self, raw: Any, arm: Callable[[], None]) -> None:
        self._raw, self._arm = raw, arm

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int | None:
        self._arm()
        count: int | None = self._raw.readinto(buffer)
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


def connect(host: str, port: int, limit: TimeLimit, trusted: ssl.SSLContext | None = None) -> TimedSocket:
    """Connect within a time: name, connection and handshake.

    Args:
        host: Name or address.
        port: Port.
        limit: The time.
        trusted: Makes a TLS connection to `host` with this context; None means plain TCP.

    Raises:
        OSError: No connection could be made; `TimeoutError` when the time is over.
    """
    addresses = _resolve(host, port, limit.left())
    failure = OSError(f"the name {host} has no address")
    for number, (family, kind, protocol, _, address) in enumerate(addresses):
        sock = socket.socket(family, kind, protocol)
        try:
            # An address that does not answer leaves time for those after it.
            sock.settimeout(limit.left() / (len(addresses) - number))
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if trusted is not None:
                sock.settimeout(limit.left())
                sock = trusted.wrap_socket(sock, server_hostname=host)
        except OSError as error:
            sock.close()
            failure = error
            if trusted is not None and _is_verification_error(error):
                break  # the other addresses have the same certificate
        except BaseException:
            sock.close()
            raise
        else:
            return TimedSocket(sock)
    raise failure


def _is_verification_error(error: OSError) -> bool:
    import ssl  # a plain connection does not need the module

    return isinstance(error, ssl.SSLCertVerificationError)


def _resolve(host: str, port: int, timeout: float) -> list[Any]:
    """Resolve a name in a thread, because the system's resolver knows no timeout."""
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        outcome: list[Any] = []

    def ask() -> None:
        try:
            outcome.append(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except OSError as error:
            outcome.append(error)

    thread = threading.Thread(target=ask, name="resolve", daemon=True)
    thread.start()
    thread.join(timeout)
    if not outcome:
        msg = f"the name {host} was not resolved in time"
        raise TimeoutError(msg)
    if isinstance(outcome[0], OSError):
        raise outcome[0]
    addresses: list[Any] = outcome[0]
    return addresses


def _abandon_all() -> None:
    for each in list(_open):
        each.abandon()


os.register_at_fork(after_in_child=_abandon_all)
