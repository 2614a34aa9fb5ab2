"""Kept-alive connections to one AWS endpoint, for the lean transport."""

from __future__ import annotations

import http.client
import select
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from offload.aws import roots
from offload.aws.calls import Rejected

if TYPE_CHECKING:
    import ssl

    from offload.core.clock import Clock

CONNECT_TIMEOUT = 2.0
"""Seconds. Inside a region a connection takes milliseconds; two seconds is a host that is gone."""
MOST_IDLE_MS = 60_000
"""A sandbox may be frozen for minutes, and a gateway on the way forgets an idle connection without saying so."""


class NotSent(Exception):
    """No connection came about, so the request was not carried out."""


class Pool:
    """Idle connections to one endpoint, the last used first."""

    def __init__(self, endpoint: str, clock: Clock) -> None:
        """Read an address such as `https://sqs.eu-west-1.amazonaws.com`.

        Raises:
            Rejected: Not such an address.
        """
        parts = urlsplit(endpoint)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/"):
            msg = f"AWS_ENDPOINT_URL must be http(s)://host[:port] with nothing behind it, not {endpoint!r}"
            raise Rejected(msg, "InvalidEndpoint")
        self._secure = parts.scheme == "https"
        self._name, self._port = parts.hostname, parts.port or (443 if self._secure else 80)
        self.host = parts.netloc.rpartition("@")[2].lower()
        self.where = f"{parts.scheme}://{self.host}"
        self._clock = clock
        self._narrow = self._name.endswith(".amazonaws.com")
        self._idle: list[tuple[http.client.HTTPConnection, int]] = []

    def __del__(self) -> None:
        """Close what is open: a transport that is dropped leaves no sockets behind."""
        for connection, _ in getattr(self, "_idle", ()):
            connection.close()

    def take(self, patience: float) -> tuple[http.client.HTTPConnection, bool]:
        """Return a connection, and whether it was used before."""
        oldest = self._clock.now() - MOST_IDLE_MS
        while self._idle:
            try:
                connection, since = self._idle.pop()
            except IndexError:  # another thread was quicker
                break
            if connection.sock is not None and since >= oldest and not _readable(connection.sock.fileno()):
                connection.sock.settimeout(patience)
                return connection, True
            connection.close()
        return self.open(patience), False

    def open(self, patience: float) -> http.client.HTTPConnection:
        """Connect.

        Raises:
            NotSent: Nobody answers there.
        """
        timeout = min(CONNECT_TIMEOUT, patience)
        try:
            connection = self._open_secure(timeout) if self._secure else self._connect(timeout)
        except OSError as error:
            msg = f"cannot connect to {self.where}: {describe(error)}"
            raise NotSent(msg) from error
        connection.sock.settimeout(patience)
        return connection

    def _open_secure(self, timeout: float) -> http.client.HTTPConnection:
        import ssl  # plain http, as in tests, needs none

        if self._narrow:
            try:
                return self._connect(timeout, roots.amazon())
            except ssl.SSLCertVerificationError:
                self._narrow = False  # a proxy that reads along, or a new root: the machine's own list decides
        return self._connect(timeout, roots.system())

    def _connect(self, timeout: float, trusted: ssl.SSLContext | None = None) -> http.client.HTTPConnection:
        if trusted is None:
            connection = http.client.HTTPConnection(self._name, self._port, timeout=timeout)
        else:
            connection = http.client.HTTPSConnection(self._name, self._port, timeout=timeout, context=trusted)
        try:
            connection.connect()
        except BaseException:
            connection.close()
            raise
        return connection

    def put(self, connection: http.client.HTTPConnection) -> None:
        """Keep a connection whose answer was read to the end."""
        if connection.sock is not None:
            self._idle.append((connection, self._clock.now()))


def _readable(descriptor: int) -> bool:
    """Tell whether an idle socket has something to read, which can only be its end."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


def describe(error: Exception) -> str:
    """Show an exception with its kind."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
