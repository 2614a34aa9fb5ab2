"""The webhook signature: made here, and checked by receivers.

This file stands on the standard library alone: a receiver copies it and calls `verify` before it reads the body:

    verify(request.body, request.headers["Offload-Signature"], secret)

The header is `t=<unix seconds>,v1=<hex>`, where `v1` is the HMAC-SHA256 of `<t>.<body>` under the shared secret. The
time is signed too, so that a recorded delivery cannot be played back after the tolerance. Within it, the
`Idempotency-Key` header (the job's id, the same on every attempt) tells a repeated delivery from a new one.
"""

from __future__ import annotations

import hashlib
import hmac
import time

HEADER = "Offload-Signature"


class BadSignatureError(ValueError):
    """The request is not ours, was changed on the way, or is too old: answer 400 and do nothing."""


def sign(body: bytes, secret: str, at: int) -> str:
    """Return the header for a body sent at `at`, in Unix seconds."""
    return f"t={at},v1={_digest(body, secret, str(at))}"


def verify(body: bytes, header: str, secret: str, *, tolerance: float = 300, now: float | None = None) -> None:
    """Return if the signature holds, else raise; a check that is forgotten to be read cannot pass by mistake.

    Args:
        body: The request's body, byte for byte as it arrived; JSON that was parsed and written again differs.
        header: The `Offload-Signature` header.
        secret: The shared secret.
        tolerance: Largest accepted difference of the two clocks, in seconds.
        now: The time to compare with, in Unix seconds; None reads the clock.

    Raises:
        BadSignatureError: Says why.
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
