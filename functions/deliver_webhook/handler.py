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
SECRET_LIFE = 300  # seconds that a secret is kept in memory; a changed secret is in use after this time
CONNECT_TIMEOUT, READ_TIMEOUT, MOST_ADDRESSES = 5, 15, 4  # 4 x 5 s + 15 s are less than the task's timeout
LONGEST_WAIT = 6 * 3600  # seconds; a longer Retry-After of a receiver is shortened to this
WORTH_RETRYING = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS)

Url = Annotated[str, AfterValidator(lambda text: str(read_url(text))), Field(max_length=2048)]
Event = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,100}$")]
SecretName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,100}$")]


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

    Delivery is at least once. Every attempt of a job sends the same body and the same `Idempotency-Key`, which is the
    job's id. Every 2xx status is a success. The job is retried on 408, 425, 429, 5xx, timeouts and connection errors,
    after the time in the receiver's `Retry-After` header if there is one. Every other status is final. Redirects are
    not followed.

    Only https URLs with public addresses are called. The variable `OFFLOAD_WEBHOOK_ALLOW_PRIVATE` in the deploying
    shell allows private networks, as comma-separated CIDR blocks; there plain http is allowed too.

    Args:
        url: URL of the receiver.
        event: Name of the event, such as `order.paid`.
        data: Data of the event.
        secret_name: Name of the secret that signs. Receivers check the signature with `verify` of `signature.py`.

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
    _raise_unless_accepted(target.host, status, retry_after)
    return Delivery(status=status, attempt=job.attempt)


@functools.lru_cache(maxsize=128)
def _secret(name: str, _period: int) -> str:
    """Return a secret. The period is a part of the cache's key, so that a secret is read again in the next period."""
    missing = f"no SSM parameter {SECRETS}{name}: create it as a SecureString with the shared secret"
    with permanent_on({"ParameterNotFound": missing}):
        return ssm().get_parameter(Name=SECRETS + name, WithDecryption=True)["Parameter"]["Value"]


def _post(target: Target, body: bytes, headers: Mapping[str, str]) -> tuple[int, str | None]:
    """Post to the first of the target's addresses that accepts a connection; return the status and Retry-After.

    urllib3 can connect to an address and use the host's name in the Host header, in SNI and for the check of the
    certificate; http.client would need a subclass for that. A pool that is used directly follows no redirects with
    `redirect=False`, and uses no proxies.
    """
    from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, Timeout
    from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

    timeout = Timeout(connect=CONNECT_TIMEOUT, read=READ_TIMEOUT)
    is_default_port = target.port == (443 if target.secure else 80)
    headers = {**headers, "Host": target.host if is_default_port else f"{target.host}:{target.port}"}
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
                problem = error  # nothing was sent, so the next address can be tried
                continue
            except (HTTPError, OSError) as error:
                problem = error
                break
            answer.close()
            return answer.status, answer.headers.get("Retry-After")
    raise DeliveryError(f"{target.host}: {type(problem).__name__}") from problem


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
