"""Deliver a signed webhook."""

from __future__ import annotations

import functools
import json
import os
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from http.client import HTTPException
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, BaseModel, Field, JsonValue

from functions import from_deployer, permanent_on, sdk, stack
from offload import Allow, Permanent, Retry, RetryLater, current_job, task

from .posting import Deadline, post
from .signature import HEADER, LEAST_SECRET, sign
from .target import DEFAULT_PORTS, ForbiddenTargetError, check, networks, ports, read_url

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

ALLOW_PRIVATE, PORTS = "OFFLOAD_WEBHOOK_ALLOW_PRIVATE", "OFFLOAD_WEBHOOK_PORTS"
SECRET_LIFE = 300  # seconds that a secret is kept in memory; a changed secret is in use after this time
MOST_SECRETS = 2  # that sign one delivery: the new one and the old one, while they are exchanged
DELIVERY_TIME = 20.0  # seconds from the look-up of the host to the last header; half of the task's timeout
LONGEST_WAIT = 6 * 3600  # seconds; a longer Retry-After of a receiver is shortened to this
WORTH_RETRYING = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS)

Url = Annotated[str, AfterValidator(lambda text: str(read_url(text))), Field(max_length=2048)]
Event = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,100}$")]
SecretName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,253}$")]


class Delivery(BaseModel):
    """A delivery that the receiver accepted.

    Attributes:
        status: The receiver's 2xx status. The body of its answer is not read, because it may be large or confidential.
        attempt: Number of the attempt that succeeded.
    """

    status: int
    attempt: int


class DeliveryError(Exception):
    """The receiver was not reached, or cannot accept the delivery now; the job is retried with backoff."""


@functools.cache
def ssm() -> SSMClient:
    """Return the Parameter Store client."""
    import boto3

    return boto3.client("ssm", config=sdk())


@task(
    retry=Retry(max_attempts=10, base="15s", cap="1h"),  # the attempts take one hour on average, two hours at most
    timeout="45s",
    batch_size=1,  # a slow receiver takes the time of its own delivery alone
    max_concurrency=20,
    environment=from_deployer(ALLOW_PRIVATE, PORTS),
    allow=(
        Allow(("ssm:GetParameter",), ("arn:{partition}:ssm:{region}:{account}:parameter/offload/{stack}/webhooks/*",)),
    ),
)
def deliver_webhook(
    url: Url,
    event: Event,
    data: dict[str, JsonValue],
    secret_name: SecretName | None = None,
) -> Delivery:
    """POST `{"id", "event", "data"}` as JSON, signed for its receiver.

    The secret is the SSM parameter `/offload/<stack>/webhooks/<secret_name>`. While a secret is replaced by a new one,
    the parameter has both, with a blank between them, and both sign. `docs/webhooks.md` is the page for receivers.

    Delivery is at least once. Every attempt of a job sends the same body and the same `Idempotency-Key`, which is the
    job's id. Every 2xx status is a success. The job is retried on 408, 425, 429, 5xx, timeouts and connection errors,
    after the time in the receiver's `Retry-After` header if there is one. Every other status is final. Redirects are
    not followed. A delivery that takes more than 20 seconds is broken off.

    Only https URLs with public addresses and port 443 are called. Two variables in the deploying shell allow more:
    `OFFLOAD_WEBHOOK_PORTS` has the allowed ports, such as `443,8000-8999`. `OFFLOAD_WEBHOOK_ALLOW_PRIVATE` has private
    networks, as comma-separated CIDR blocks; there plain http is allowed too. No network opens loopback and the
    addresses of metadata services; each such address must be named by itself.

    Args:
        url: URL of the receiver.
        event: Name of the event, such as `order.paid`.
        data: Data of the event.
        secret_name: Name of the secret that signs; None for the host in the URL, so that each receiver has its own.

    Raises:
        Permanent: The receiver refused for good, the URL is not allowed, or the secret does not exist.
        RetryLater: The receiver asked to wait.
        DeliveryError: The receiver was not reached, or cannot accept the delivery now.
    """
    job = current_job()
    try:
        body = json.dumps({"id": job.id, "event": event, "data": data}, separators=(",", ":"), allow_nan=False).encode()
    except ValueError as error:
        raise Permanent("data contains NaN or an infinity, which JSON cannot represent") from error
    deadline = Deadline(min(DELIVERY_TIME, job.remaining))
    try:
        url = str(read_url(url))
        allowed, open_ports = networks(os.environ.get(ALLOW_PRIVATE, "")), ports(os.environ.get(PORTS, ""))
        target = check(url, allowed, open_ports or DEFAULT_PORTS, deadline)
    except ForbiddenTargetError as error:
        raise Permanent(str(error)) from error
    except OSError as error:
        raise DeliveryError(f"the receiver's name did not resolve: {error}") from error
    secrets = _secrets(secret_name or target.host, int(time.monotonic() / SECRET_LIFE))
    is_default_port = target.port == (443 if target.secure else 80)
    headers = {
        "Host": target.host if is_default_port else f"{target.host}:{target.port}",
        "Content-Type": "application/json",
        "User-Agent": "offload-webhook/1",
        "Idempotency-Key": job.id,
        "Offload-Event": event,
        "Offload-Attempt": str(job.attempt),
        HEADER: sign(body, secrets, int(time.time()), url=url),
    }
    try:
        status, retry_after = post(target, body, headers, deadline)
    except (OSError, HTTPException) as error:
        raise DeliveryError(f"{target.host}: {type(error).__name__}") from error
    _raise_unless_accepted(target.host, status, retry_after)
    return Delivery(status=status, attempt=job.attempt)


@functools.lru_cache(maxsize=128)
def _secrets(name: str, _period: int) -> tuple[str, ...]:
    """Return a receiver's secrets. The period is a part of the cache's key, so that they are read again in the next.

    Raises:
        Permanent: The parameter does not exist, or does not hold one or two secrets.
    """
    parameter = f"/offload/{stack().stack}/webhooks/{name}"
    wanted = f"a SecureString with the shared secret, of at least {LEAST_SECRET} characters"
    reasons = dict.fromkeys(
        ("ParameterNotFound", "ValidationException"), f"no SSM parameter {parameter}: create {wanted}"
    )
    with permanent_on(reasons):
        secrets = tuple(ssm().get_parameter(Name=parameter, WithDecryption=True)["Parameter"]["Value"].split())
    if not 1 <= len(secrets) <= MOST_SECRETS or any(len(secret) < LEAST_SECRET for secret in secrets):
        raise Permanent(f"the SSM parameter {parameter} must be {wanted}, or two with a blank between them")
    return secrets


def _raise_unless_accepted(host: str, status: int, retry_after: str | None) -> None:
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return
    message = f"{host} answered {status}"
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        raise Permanent(f"{message}: redirects are not followed, so register the final URL")
    if status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in WORTH_RETRYING:
        raise Permanent(message)
    wait = _seconds(retry_after, datetime.now(UTC))
    if wait is not None:
        raise RetryLater(f"{message} and asks to wait {wait:.0f} s", delay=wait)
    raise DeliveryError(message)


def _seconds(retry_after: str | None, now: datetime) -> float | None:
    """Read Retry-After (RFC 9110, 10.2.3: seconds or an HTTP date); None when it is absent or cannot be read."""
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        return float(min(max(int(text[:10]), 1), LONGEST_WAIT))
    try:
        at = parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):
        return None
    wait = (at.replace(tzinfo=at.tzinfo or UTC) - now).total_seconds()
    return min(max(wait, 1.0), float(LONGEST_WAIT))
