"""AWS Signature Version 4 for the one kind of request this library makes itself: `POST /` with a JSON body.

Source: "Create a signed AWS API request" in the IAM user guide; tests hold it to botocore's signer.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from hashlib import sha256


@dataclass(frozen=True, slots=True)
class Credentials:
    """An access key; never shown, in whole or in part, by `repr`."""

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    token: str | None = field(repr=False, default=None)


class Signer:
    """Signs requests to one service in one region; keeps the day's signing key."""

    def __init__(self, service: str, region: str) -> None:
        """Name what is signed for; `service` is the signing name, such as `dynamodb`."""
        self._service = service
        self._region = region
        self._key: tuple[str, str, bytes] = ("", "", b"")

    def sign(self, headers: dict[str, str], body: bytes, credentials: Credentials, moment: str) -> dict[str, str]:
        """Return the headers to send: those given, the date, the session token and the signature.

        Args:
            headers: What is to be sent and signed; lower-case names, `host` among them.
            body: The request's body.
            credentials: Whose signature.
            moment: UTC time as `20261121T020000Z`.
        """
        signed = {**headers, "x-amz-date": moment}
        if credentials.token:
            signed["x-amz-security-token"] = credentials.token
        names = sorted(signed)
        listed = ";".join(names)
        lines = "".join(f"{name}:{signed[name]}\n" for name in names)
        request = f"POST\n/\n\n{lines}\n{listed}\n{sha256(body).hexdigest()}"
        scope = f"{moment[:8]}/{self._region}/{self._service}/aws4_request"
        to_sign = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{sha256(request.encode()).hexdigest()}"
        signature = hmac.digest(self._signing_key(moment[:8], credentials.secret_key), to_sign.encode(), "sha256").hex()
        signed["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={credentials.access_key}/{scope}, "
            f"SignedHeaders={listed}, Signature={signature}"
        )
        return signed

    def _signing_key(self, day: str, secret: str) -> bytes:
        kept_day, kept_secret, key = self._key
        if kept_day == day and kept_secret == secret:
            return key
        key = f"AWS4{secret}".encode()
        for part in (day, self._region, self._service, "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        self._key = (day, secret, key)  # one assignment: threads see the old triple or the new one
        return key
