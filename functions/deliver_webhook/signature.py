r"""The signature of webhooks: the task signs, and receivers verify.

This file needs only the standard library. A receiver copies the file and calls `verify` before it reads the body:

    verify(request.body, request.headers["Offload-Signature"], secret, url="https://shop.example/hooks")

The header is `t=<unix seconds>,v1=<hex>`, with one `v1` for each secret. `v1` is the HMAC-SHA256, with the secret, of

    <unix seconds>\n<receiver's URL>\n<body>

The URL is signed, so that a receiver cannot pass a delivery on to another receiver as if it were for that one. The time
is signed, so that nobody can send a recorded delivery again after the tolerance. Before that, the `Idempotency-Key`
header shows a repeated delivery: it is the job's id, which is the same on every attempt.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Sequence

HEADER = "Offload-Signature"
LEAST_SECRET = 16
"""Characters of a secret. A shorter one can be guessed from one recorded delivery."""

_LONGEST_TIME = 15
_DEFAULT_PORTS = {"https": 443, "http": 80}


class BadSignatureError(ValueError):
    """The request is forged, changed on its way, meant for another URL, or too old. Answer 400 and do nothing."""


def sign(body: bytes, secrets: Sequence[str], at: int, *, url: str) -> str:
    """Return the header for a body that is sent to `url` at `at`, in Unix seconds; each secret signs.

    Raises:
        ValueError: There is no secret, or one is too short, or the URL is not one.
    """
    return ",".join([f"t={at}", *(f"v1={_digest(body, secret, str(at), url)}" for secret in _checked(secrets))])


def verify(
    body: bytes,
    header: str,
    secret: str | Sequence[str],
    *,
    url: str,
    tolerance: float = 300,
    now: float | None = None,
) -> None:
    """Return when the signature is valid, and raise an error otherwise.

    The function returns no value, so that a caller cannot forget to check the result.

    Args:
        body: The body of the request, exactly as it arrived. JSON that was parsed and written again has other bytes.
        header: The `Offload-Signature` header.
        secret: The shared secret, or several of which one must have signed.
        url: The receiver's own URL, as it was given to Offload. Take it from the settings, never from the request:
            the `Host` header is chosen by the sender.
        tolerance: The largest accepted difference between the signed time and `now`, in seconds.
        now: The time to compare with, in Unix seconds; None means the current time.

    Raises:
        BadSignatureError: The signature is not valid. The message says why.
        ValueError: The secret is empty or too short, or the URL is not one: the receiver's settings are wrong.
    """
    secrets = _checked([secret] if isinstance(secret, str) else secret)
    fields = [part.strip().partition("=") for part in header.split(",")]
    times = [value for name, _, value in fields if name == "t"]
    digests = [value.encode() for name, _, value in fields if name == "v1"]
    if len(times) != 1 or not digests or not _is_time(times[0]):
        raise BadSignatureError(f"{HEADER} must read t=<unix seconds>,v1=<hex>")
    expected = [_digest(body, each, times[0], url).encode() for each in secrets]
    if not any(hmac.compare_digest(one, digest) for one in expected for digest in digests):
        raise BadSignatureError("the signature does not match the body, the URL and the secret")
    # "Not at most", because no comparison with NaN holds.
    if not abs((time.time() if now is None else now) - int(times[0])) <= tolerance:
        raise BadSignatureError(f"signed more than {tolerance:g} s from now")


def _is_time(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _LONGEST_TIME


def _checked(secrets: Sequence[str]) -> Sequence[str]:
    if not secrets or any(len(secret) < LEAST_SECRET for secret in secrets):
        raise ValueError(f"a webhook's secret must have at least {LEAST_SECRET} characters")
    return secrets


def _digest(body: bytes, secret: str, at: str, url: str) -> str:
    signed = f"{at}\n{_one_spelling(url)}\n".encode() + body
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def _one_spelling(url: str) -> str:
    """Return a URL with scheme and host in lower case, without the scheme's own port, and with a path."""
    parts = urlsplit(url)
    if not parts.hostname or parts.scheme not in _DEFAULT_PORTS:
        raise ValueError(f"url={url!r} must be the receiver's whole URL, such as https://shop.example/hooks")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = "" if parts.port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
