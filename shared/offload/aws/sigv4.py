"""AWS Signature Version 4, in the headers of a request.

Source: "Create a signed AWS API request" in the IAM user guide. Tests compare the signatures with those of botocore.
"""

from __future__ import annotations

import hmac
from hashlib import sha256
from typing import NamedTuple
from urllib.parse import quote


class Credentials:
    """An access key; `repr` shows no part of it."""

    def __init__(self, access_key: str, secret_key: str, token: str | None = None) -> None:
        """Keep the key; `token` is the session token of temporary credentials."""
        self.access_key, self.secret_key, self.token = access_key, secret_key, token

    def __eq__(self, other: object) -> bool:
        """Compare all parts."""
        return isinstance(other, Credentials) and self.__dict__ == other.__dict__

    __hash__ = None  # type: ignore[assignment]  # nothing needs keys as keys of a dict


class Unsigned(NamedTuple):
    """A request to sign.

    Attributes:
        method: Such as `POST`.
        path: The path as it is sent, with its characters quoted.
        query: Names and values, not quoted.
        headers: Headers to send and to sign; their names are in lower case, and `host` is among them.
        body: The body.
    """

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def query_string(self) -> str:
        """The query as it is sent: sorted and quoted."""
        return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in sorted(self.query.items()))


class Signer:
    """Signs requests to one service in one region; keeps the signing key of the day."""

    def __init__(self, service: str, region: str) -> None:
        """Keep the service's signing name, such as `dynamodb`, and the region."""
        self._service = service
        self._region = region
        self._key: tuple[str, str, bytes] = ("", "", b"")

    def sign(self, request: Unsigned, credentials: Credentials, moment: str) -> dict[str, str]:
        """Return the headers to send: those of the request, the date, the session token and the signature.

        Args:
            request: The request.
            credentials: The access key to sign with.
            moment: UTC time as `20261121T020000Z`.
        """
        payload = sha256(request.body).hexdigest()
        signed = {**request.headers, "x-amz-date": moment}
        path = request.path
        if self._service == "s3":
            signed["x-amz-content-sha256"] = payload
        elif "%" in path:
            path = quote(path, safe="/")  # every service but S3 signs a path whose characters are quoted twice
        if credentials.token:
            signed["x-amz-security-token"] = credentials.token
        names = sorted(signed)
        signed_names = ";".join(names)
        lines = "".join(f"{name}:{signed[name]}\n" for name in names)
        canonical = f"{request.method}\n{path}\n{request.query_string}\n{lines}\n{signed_names}\n{payload}"
        scope = f"{moment[:8]}/{self._region}/{self._service}/aws4_request"
        to_sign = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{sha256(canonical.encode()).hexdigest()}"
        signature = hmac.digest(self._signing_key(moment[:8], credentials.secret_key), to_sign.encode(), "sha256").hex()
        signed["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={credentials.access_key}/{scope}, "
            f"SignedHeaders={signed_names}, Signature={signature}"
        )
        return signed

    def _signing_key(self, day: str, secret: str) -> bytes:
        kept_day, kept_secret, key = self._key
        if kept_day == day and kept_secret == secret:
            return key
        key = f"AWS4{secret}".encode()
        for part in (day, self._region, self._service, "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        self._key = (day, secret, key)  # one assignment, so that a thread sees the old key or the new key, never a mix
        return key
