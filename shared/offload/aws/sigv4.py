"""AWS Signature Version 4 for the one kind of request that this library signs itself: `POST /` with a JSON body.

Source: "Create a signed AWS API request" in the IAM user guide. Tests compare the signatures with those of botocore.
"""

from __future__ import annotations

import hmac
from hashlib import sha256


class Credentials:
    """An access key; `repr` shows no part of it."""

    def __init__(self, access_key: str, secret_key: str, token: str | None = None) -> None:
        """Keep the key; `token` is the session token of temporary credentials."""
        self.access_key, self.secret_key, self.token = access_key, secret_key, token


class Signer:
    """Signs requests to one service in one region; keeps the signing key of the day."""

    def __init__(self, service: str, region: str) -> None:
        """Keep the service's signing name, such as `dynamodb`, and the region."""
        self._service = service
        self._region = region
        self._key: tuple[str, str, bytes] = ("", "", b"")

    def sign(self, headers: dict[str, str], body: bytes, credentials: Credentials, moment: str) -> dict[str, str]:
        """Return the headers to send: `headers`, the date, the session token and the signature.

        Args:
            headers: Headers to send and to sign; their names are in lower case, and `host` is among them.
            body: The body of the request.
            credentials: The access key to sign with.
            moment: UTC time as `20261121T020000Z`.
        """
        signed = {**headers, "x-amz-date": moment}
        if credentials.token:
            signed["x-amz-security-token"] = credentials.token
        names = sorted(signed)
        signed_names = ";".join(names)
        lines = "".join(f"{name}:{signed[name]}\n" for name in names)
        request = f"POST\n/\n\n{lines}\n{signed_names}\n{sha256(body).hexdigest()}"
        scope = f"{moment[:8]}/{self._region}/{self._service}/aws4_request"
        to_sign = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{sha256(request.encode()).hexdigest()}"
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
