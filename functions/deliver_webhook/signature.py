"""The signature of webhooks: the task signs, and receivers verify.

This file needs only the standard library. A receiver copies the file and calls `verify` before it reads the body:

    verify(request.body, request.headers["Offload-Signature"], secret)

The header is `t=<unix seconds>,v1=<hex>`, where `v1` is the HMAC-SHA256 of `<t>.<body>` with the shared secret. The
signature includes the time, so that an attacker cannot send a recorded delivery again after the tolerance. Before that,
the `Idempotency-Key` header shows a repeated delivery: it is the job's id, which is the same on every attempt.
"""

from __future__ import annotations

import hashlib
import hmac
import time

HEADER = "Offload-Signature"


class BadSignatureError(ValueError):
    """The request is forged, changed on its way, or too old. Answer 400 and do nothing."""


def sign(body: bytes, secret: str, at: int) -> str:
    """Return the header for a body sent at `at`, in Unix seconds."""
    return f"t={at},v1={_digest(body, secret, str(at))}"


def verify(body: bytes, header: str, secret: str, *, tolerance: float = 300, now: float | None = None) -> None:
    """Return when the signature is valid, and raise an error otherwise.

    The function returns no value, so that a caller cannot forget to check the result.

    Args:
        body: The body of the request, exactly as it arrived. JSON that was parsed and written again has other bytes.
        header: The `Offload-Signature` header.
        secret: The shared secret.
        tolerance: The largest accepted difference between the signed time and `now`, in seconds.
        now: The time to compare with, in Unix seconds; None means the current time.

    Raises:
        BadSignatureError: The signature is not valid. The message says why.
    """
    fields = [part.strip().partition("=") for part in header.split(",")]
    times = [value for name, _, value in fields if name == "t"]
    digests = [value for name, _, value in fields if name == "v1"]
    if len(times) != 1 or not digests or not (times[0].isascii() and times[0].isdigit() and len(times[0]) < 16):  # noqa: PLR2004
        raise BadSignatureError(f"{HEADER} must read t=<unix seconds>,v1=<hex>")
    expected = _digest(body, secret, times[0]).encode()
    if not any(hmac.compare_digest(expected, digest.encode()) for digest in digests):
        raise BadSignatureError("the signature does not match the body and the secret")
    if abs((time.time() if now is None else now) - int(times[0])) > tolerance:
        raise BadSignatureError(f"signed more than {tolerance:g} s from now")


def _digest(body: bytes, secret: str, at: str) -> str:
    return hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
