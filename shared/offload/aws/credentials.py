"""The credentials of a function: from its environment, or from the endpoint that hands them out.

Lambda puts the keys into the environment. A function with SnapStart has none there, because its snapshot outlives them.
It has `AWS_CONTAINER_CREDENTIALS_FULL_URI` and a token instead; so do containers on ECS and EKS.

Source: "Container credential provider" in the AWS SDKs and Tools reference guide.
"""

from __future__ import annotations

import http.client
import json
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from offload.aws.calls import Rejected
from offload.aws.connections import NotSent, Pool, describe
from offload.aws.sigv4 import Credentials
from offload.core.clock import epoch_ms
from offload.core.errors import Unavailable

if TYPE_CHECKING:
    from offload.core.clock import Clock

REFRESH_BEFORE_MS = 10 * 60_000
"""Milliseconds before their end at which credentials are fetched anew. Lambda's last for hours."""

STALE = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "TokenRefreshRequired",
        "UnrecognizedClientException",
    }
)
"""Error codes of a service that does not take the credentials any more."""

_ATTEMPTS = 3
_LONGEST = 2.0
"""Seconds of one attempt. The endpoint is on the machine itself."""
_PAUSE = 0.1
_LARGEST = 65_536
_OK = 200
_SERVER_FAULTS = 500
_CONTAINER_HOST = "http://169.254.170.2"
_CONTAINER_ADDRESSES = ("169.254.170.2", "169.254.170.23", "fd00:ec2::23")


class _Fetched(NamedTuple):
    credentials: Credentials
    until: int | None
    """Epoch milliseconds; None: they do not end."""


class FunctionCredentials:
    """The credentials of this process. Thread-safe; a child of a fork fetches its own."""

    def __init__(self, clock: Clock) -> None:
        """Fetch nothing yet."""
        self._clock = clock
        self._fetched: _Fetched | None = None
        self._lock, self._process = threading.Lock(), os.getpid()

    def current(self, time_left: float, *, refused: Credentials | None = None) -> Credentials:
        """Return credentials that have not ended.

        Args:
            time_left: Seconds that this may take.
            refused: Credentials that a service did not take; others are returned if there are any.

        Raises:
            Rejected: There are none.
            Unavailable: The endpoint did not answer, and there are none from before.
        """
        environment = os.environ
        access_key, secret_key = environment.get("AWS_ACCESS_KEY_ID"), environment.get("AWS_SECRET_ACCESS_KEY")
        if access_key and secret_key:
            return Credentials(access_key, secret_key, environment.get("AWS_SESSION_TOKEN"))
        address = _address()
        if address is None:
            raise Rejected(
                "no AWS credentials in the environment: neither AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY nor "
                "AWS_CONTAINER_CREDENTIALS_FULL_URI are set",
                "NoCredentials",
            )
        if self._process != os.getpid():  # the lock may be held by a thread that is in the parent alone
            self._lock, self._process = threading.Lock(), os.getpid()
        kept = self._fetched
        if kept is not None and kept.credentials is not refused and not self._ends_within(kept, REFRESH_BEFORE_MS):
            return kept.credentials
        usable = kept is not None and kept.credentials is not refused and not self._ends_within(kept, 0)
        # One thread asks. The others go on with what there is, or wait.
        if not self._lock.acquire(blocking=not usable, timeout=-1 if usable else min(max(time_left, 0), 3600)):
            if usable and kept is not None:
                return kept.credentials
            raise Unavailable("no AWS credentials yet: another thread waits for them")
        try:
            if self._fetched is kept:
                self._fetched = self._fetch(address, time_left)
            assert self._fetched is not None  # it was set by this thread or by the one before
        except (Unavailable, Rejected):
            if usable and kept is not None:
                return kept.credentials
            raise
        finally:
            self._lock.release()
        return self._fetched.credentials

    def _ends_within(self, fetched: _Fetched, milliseconds: int) -> bool:
        return fetched.until is not None and fetched.until - self._clock.now() <= milliseconds

    def _fetch(self, address: str, time_left: float) -> _Fetched:
        parts = urlsplit(address)
        pool = Pool(f"{parts.scheme}://{parts.netloc}", self._clock)
        path = parts.path or "/"
        path += f"?{parts.query}" if parts.query else ""
        headers = {"accept": "application/json", "host": pool.host}
        if token := _token():
            headers["authorization"] = token
        failure: Unavailable | None = None
        for attempt in range(_ATTEMPTS):
            if attempt:
                self._clock.sleep(_PAUSE * attempt)
            try:
                status, raw = _get(pool, path, headers, min(_LONGEST, max(time_left, 0.001)))
            except (NotSent, OSError, http.client.HTTPException) as error:
                failure = Unavailable(f"no AWS credentials: no answer from {pool.address}: {describe(error)}")
                continue
            if status < _SERVER_FAULTS:
                return _read(status, raw, pool.address)
            failure = Unavailable(f"no AWS credentials: {pool.address} answered HTTP {status}")
        assert failure is not None  # there was an attempt
        raise failure


def _address() -> str | None:
    environment = os.environ
    address = environment.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    if not address and (relative := environment.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")):
        return _CONTAINER_HOST + relative
    if address and urlsplit(address).scheme != "https" and not _is_on_this_machine(urlsplit(address).hostname):
        msg = f"AWS_CONTAINER_CREDENTIALS_FULL_URI={address!r} is neither https nor an address of this machine"
        raise Rejected(msg, "NoCredentials")
    return address or None


def _is_on_this_machine(name: str | None) -> bool:
    """Tell whether a host may be told the token, and hand out keys, without TLS."""
    import ipaddress  # a function with keys in its environment does not need the module

    if name == "localhost":
        return True
    try:
        address = ipaddress.ip_address(name or "")
    except ValueError:
        return False
    return address.is_loopback or str(address) in _CONTAINER_ADDRESSES


def _token() -> str | None:
    if file := os.environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"):
        try:
            token = Path(file).read_text(encoding="utf-8").strip()
        except OSError as error:
            msg = f"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE={file!r} cannot be read: {error.strerror}"
            raise Rejected(msg, "NoCredentials") from error
    else:
        token = os.environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN") or ""
    if "\r" in token or "\n" in token:
        raise Rejected("the token for AWS credentials has a line break", "NoCredentials")
    return token or None


def _get(pool: Pool, path: str, headers: dict[str, str], seconds: float) -> tuple[int, bytes]:
    connection = pool.open(seconds, seconds)
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read(_LARGEST)
    finally:
        connection.close()


def _read(status: int, raw: bytes, address: str) -> _Fetched:
    try:
        answer: Any = json.loads(raw)
        if status != _OK or not isinstance(answer, dict):
            raise ValueError  # noqa: TRY301 - what the endpoint says is below
        credentials = Credentials(answer["AccessKeyId"], answer["SecretAccessKey"], answer.get("Token"))
        return _Fetched(credentials, epoch_ms(answer.get("Expiration")))
    except (ValueError, KeyError) as error:
        # The body is not quoted: it may hold a part of the keys.
        raise Rejected(f"no AWS credentials: {address} answered HTTP {status} without keys", "NoCredentials") from error
