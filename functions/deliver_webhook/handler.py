"""Deliver a signed webhook."""

from __future__ import annotations

import functools
import json
import os
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, BaseModel, Field, JsonValue

from functions import from_deployer, permanent_on, sdk
from offload import Allow, Permanent, Retry, RetryLater, current_job, task

from .signature import HEADER, sign
from .target import ForbiddenTargetError, Target, check, networks, read_url

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_ssm import SSMClient

ALLOW_PRIVATE = "OFFLOAD_WEBHOOK_ALLOW_PRIVATE"
SECRETS = "/offload/webhooks/"
SECRET_LIFE = 300  # seconds a secret is kept, and so how long a changed one may take to be used
CONNECT_TIMEOUT, READ_TIMEOUT, MOST_ADDRESSES = 5, 15, 4  # 4 x 5 s and 15 s fit the task's timeout
LONGEST_WAIT = 6 * 3600  # what a receiver's Retry-After may ask for; more is cut to this
WORTH_RETRYING = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS)

Url = Annotated[str, AfterValidator(lambda text: str(read_url(text))), Field(max_length=2048)]
Event = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,100}$")]
SecretName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,100}$")]


class Delivery(BaseModel):
    """A delivery the receiver accepted.

    Attributes:
        status: Its 2xx status. Its body is not read: it may be large, or hold what is not ours to keep.
        attempt: The attempt that succeeded.
    """

    status: int
    attempt: int


class DeliveryError(Exception):
    """The receiver could not be reached or answered that it cannot now; tried again with backoff."""


@functools.cache
def ssm() -> SSMClient:
    """Return the Parameter Store client."""
    import boto3

    return boto3.client("ssm", config=sdk())


@task(
    retry=Retry(max_attempts=10, base="15s", cap="1h"),  # tries spread over one hour on average, two at most
    timeout="45s",
    max_concurrency=20,
    environment=from_deployer(ALLOW_PRIVATE),
    allow=(Allow(("ssm:GetParameter",), ("arn:{partition}:ssm:{region}:{account}:parameter" + SECRETS + "*",)),),
)
def deliver_webhook(
    url: Url,
    event: Event,
    data: dict[str, JsonValue],
    secret_name: SecretName = "default",  # noqa: S107 - a name, not a secret
) -> Delivery:
    """POST `{"id", "event", "data"}` as JSON, signed with the secret kept in SSM as `/offload/webhooks/<secret_name>`.

    Delivery is at least once; every attempt of a job carries the same body and `Idempotency-Key` (the job's id).
    Any 2xx is success. 408, 425, 429, 5xx, timeouts and connection errors are tried again, after the receiver's
    `Retry-After` where it gives one. Every other answer is final; redirects are not followed.

    Only https to public addresses is called. `OFFLOAD_WEBHOOK_ALLOW_PRIVATE`, comma-separated CIDR blocks in the
    deploying shell, opens private networks, there for plain http too.

    Args:
        url: The receiver.
        event: What happened, such as `order.paid`.
        data: About what.
        secret_name: Which secret signs. Receivers check with `verify` of `signature.py`.

    Raises:
        Permanent: The receiver refused for good, the URL is not allowed, or the secret does not exist.
        RetryLater: The receiver named a time to come back.
        DeliveryError: It was not reached or cannot take the delivery now.
    """
    job = current_job()
    try:
        body = json.dumps({"id": job.id, "event": event, "data": data}, separators=(",", ":"), allow_nan=False).encode()
    except ValueError as error:
        raise Permanent("data holds NaN or an infinity, which JSON cannot") from error
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "offload-webhook/1",
        "Idempotency-Key": job.id,
        "Offload-Event": event,
        "Offload-Attempt": str(job.attempt),
        HEADER: sign(body, _secret(secret_name, int(time.monotonic() / SECRET_LIFE)), int(time.time())),
    }
    try:
        target = check(url, networks(os.environ.get(ALLOW_PRIVATE, "")))
    except ForbiddenTargetError as error:
        raise Permanent(str(error)) from error
    except OSError as error:
        raise DeliveryError(f"the receiver's name did not resolve: {error}") from error
    status, retry_after = _post(target, body, headers)
    _judge(target.host, status, retry_after)
    return Delivery(status=status, attempt=job.attempt)


@functools.lru_cache(maxsize=128)
def _secret(name: str, _period: int) -> str:
    missing = f"no SSM parameter {SECRETS}{name}: create it as a SecureString that holds the shared secret"
    with permanent_on({"ParameterNotFound": missing}):
        return ssm().get_parameter(Name=SECRETS + name, WithDecryption=True)["Parameter"]["Value"]


def _post(target: Target, body: bytes, headers: Mapping[str, str]) -> tuple[int, str | None]:
    """Post to the first of the target's addresses that accepts a connection; return the status and Retry-After.

    urllib3 rather than http.client: it connects to an address while it sends another name in Host and SNI and checks
    the certificate against that name, which http.client cannot without a subclass. A pool used directly follows no
    redirect with `redirect=False` and knows no proxies.
    """
    from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, Timeout
    from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

    timeout = Timeout(connect=CONNECT_TIMEOUT, read=READ_TIMEOUT)
    standard = target.port == (443 if target.secure else 80)
    headers = {**headers, "Host": target.host if standard else f"{target.host}:{target.port}"}
    problem: Exception = OSError("no address")
    for address in target.addresses[:MOST_ADDRESSES]:
        pool = (
            HTTPSConnectionPool(
                str(address),
                target.port,
                timeout=timeout,
                server_hostname=target.host.strip("[]"),
                cert_reqs="CERT_REQUIRED",
            )
            if target.secure
            else HTTPConnectionPool(str(address), target.port, timeout=timeout)
        )
        with pool:
            try:
                answer = pool.urlopen(
                    "POST", target.path, body, headers, retries=False, redirect=False, preload_content=False
                )
            except (NewConnectionError, ConnectTimeoutError) as error:
                problem = error  # nothing was sent yet, so the next address may have it
                continue
            except (HTTPError, OSError) as error:
                problem = error
                break
            answer.close()
            return answer.status, answer.headers.get("Retry-After")
    raise DeliveryError(f"{target.host}: {type(problem).__name__}") from problem


def _judge(host: str, status: int, retry_after: str | None) -> None:
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return
    said = f"{host} answered {status}"
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        raise Permanent(f"{said}: redirects are not followed, register the final URL")
    if status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in WORTH_RETRYING:
        raise Permanent(said)
    wait = _seconds(retry_after, datetime.now(UTC))
    if wait is not None:
        raise RetryLater(f"{said} and asks to wait {wait:.0f} s", delay=wait)
    raise DeliveryError(said)


def _seconds(retry_after: str | None, now: datetime) -> float | None:
    """Read Retry-After (RFC 9110, 10.2.3: seconds or an HTTP date); None when it is absent or neither."""
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        return float(min(max(int(text[:10]), 1), LONGEST_WAIT))
    try:
        at = parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):
        return None
    wait = (at.replace(tzinfo=at.tzinfo or UTC) - now).total_seconds()
    return min(max(wait, 1.0), float(LONGEST_WAIT))
