"""Kept-alive connections to one AWS endpoint, for the transport in `signed`."""

from __future__ import annotations

import http.client
import os
import select
import weakref
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from offload.aws import roots
from offload.aws.calls import Rejected
from offload.aws.sockets import TimeLimit, connect

if TYPE_CHECKING:
    from offload.aws.sockets import TimedSocket
    from offload.core.clock import Clock

CONNECT_TIMEOUT = 2.0
"""Seconds. Inside a region a connection takes milliseconds, so a host that needs two seconds is gone."""
MOST_IDLE_MS = 60_000
"""Milliseconds after which an idle connection is not used again.

Lambda may freeze a sandbox for minutes. Meanwhile a gateway between the two ends may drop the idle connection, and
neither end is informed.
"""


_pools: weakref.WeakSet[Pool] = weakref.WeakSet()


class NotSent(Exception):
    """No connection was made, so the request was not carried out."""


class Pool:
    """Idle connections to one endpoint. The connection that was used last is taken first.

    Attributes:
        host: Value of the `Host` header, such as `localhost:4566`.
        address: Scheme and host, for messages.
    """

    def __init__(self, endpoint: str, clock: Clock) -> None:
        """Read an address such as `https://sqs.eu-west-1.amazonaws.com`.

        Raises:
            Rejected: The endpoint is not such an address.
        """
        parts = urlsplit(endpoint)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/"):
            msg = f"AWS_ENDPOINT_URL must be http(s)://host[:port] without a path, not {endpoint!r}"
            raise Rejected(msg, "InvalidEndpoint")
        self._secure = parts.scheme == "https"
        self._name, self._port = parts.hostname, parts.port or (443 if self._secure else 80)
        self.host = parts.netloc.rpartition("@")[2].lower()
        self.address = f"{parts.scheme}://{self.host}"
        self._clock = clock
        self._trusts_amazon_alone = self._name.endswith(".amazonaws.com")
        self._idle: list[tuple[http.client.HTTPConnection, int]] = []
        _pools.add(self)

    def __del__(self) -> None:
        """Close the idle connections, so that a transport which is no longer used leaves no open sockets."""
        for connection, _ in getattr(self, "_idle", ()):
            connection.close()

    def take(self, total: float, idle: float) -> tuple[http.client.HTTPConnection, bool]:
        """Return a connection for an exchange of `total` seconds, and whether it was used before."""
        oldest = self._clock.now() - MOST_IDLE_MS
        while self._idle:
            try:
                connection, idle_since = self._idle.pop()
            except IndexError:  # another thread took the last connection
                break
            timed: Any = connection.sock  # a `TimedSocket`, or None
            if timed is not None and idle_since >= oldest and not _is_readable(timed.fileno()):
                timed.allow(TimeLimit(total), idle)
                return connection, True
            connection.close()
        return self.open(total, idle), False

    def open(self, total: float, idle: float) -> http.client.HTTPConnection:
        """Open a new connection for an exchange of `total` seconds, which include those of the connecting.

        Raises:
            NotSent: The endpoint does not accept the connection.
        """
        whole, limit = TimeLimit(total), TimeLimit(min(CONNECT_TIMEOUT, total))
        try:
            opened = self._open_secure(limit) if self._secure else connect(self._name, self._port, limit)
        except OSError as error:
            msg = f"cannot connect to {self.address}: {describe(error)}"
            raise NotSent(msg) from error
        opened.allow(whole, idle)
        connection = http.client.HTTPConnection(self._name, self._port)
        connection.auto_open = 0  # a connection that has ended is not opened anew, without its time and its roots
        connection.sock = opened
        return connection

    def _open_secure(self, limit: TimeLimit) -> TimedSocket:
        import ssl  # a plain http endpoint, as in tests, does not need the module

        if self._trusts_amazon_alone:
            try:
                return connect(self._name, self._port, limit, roots.amazon())
            except ssl.SSLCertVerificationError:
                # A proxy may decrypt the traffic, or Amazon may have a new root: the machine's own list decides.
                self._trusts_amazon_alone = False
        return connect(self._name, self._port, limit, roots.system())

    def put(self, connection: http.client.HTTPConnection) -> None:
        """Keep a connection for the next request; the answer of its last request was read completely."""
        if connection.sock is not None:
            self._idle.append((connection, self._clock.now()))

    def forget(self) -> None:
        """Drop the idle connections: this process is a child, and they belong to its parent."""
        self._idle = []


def _is_readable(descriptor: int) -> bool:
    """Return True when an idle socket has something to read: the service has closed the connection."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


def _forget_all() -> None:
    for pool in list(_pools):
        pool.forget()


os.register_at_fork(after_in_child=_forget_all)


def describe(error: Exception) -> str:
    """Return an exception's class and message."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
