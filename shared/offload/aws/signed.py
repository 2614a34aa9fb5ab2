"""The lean transport, for inside Lambda: signed JSON requests over kept-alive connections, without the AWS SDK.

It exists because one boto3 call costs 2.0 to 2.6 ms of processor time, a job makes several, and importing boto3 costs
0.9 s of every cold start. It speaks AWS JSON 1.0, which DynamoDB and SQS both do, with credentials and region from the
environment as Lambda sets them. It knows no profiles, proxies or FIPS endpoints: `sdk` does.

Thread-safe: each request takes an idle connection, or opens one, and puts it back when its answer was read.
"""

from __future__ import annotations

import http.client
import json
import os
import time
from typing import TYPE_CHECKING, Any

from offload.aws.calls import Call, Rejected, classify, host
from offload.aws.connections import NotSent, Pool, describe
from offload.aws.sigv4 import Credentials, Signer
from offload.core.clock import Clock, SystemClock, system_random
from offload.core.errors import OffloadError, Unavailable

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

READ_TIMEOUT = 5.0
"""Seconds without a byte. Both services answer within tens of milliseconds; a long poll adds what it waits."""
ATTEMPTS = 5
BACKOFF_BASE = 0.05
BACKOFF_CAP = 2.0
_TARGETS = {"dynamodb": "DynamoDB_20120810", "sqs": "AmazonSQS"}
_OK = 200
_SERVER_FAULTS = 500


def caller(
    service: str,
    *,
    clock: Clock | None = None,
    rng: random.Random | None = None,
    remaining: Callable[[], float] | None = None,
) -> Call:
    """Return a transport to `dynamodb` or `sqs`.

    The region is `AWS_REGION`, the endpoint `AWS_ENDPOINT_URL_<SERVICE>`, else `AWS_ENDPOINT_URL`, else the region's
    own. A request is tried up to five times; the wait before try n + 1 is drawn evenly from 0 to
    `min(2 s, 50 ms * 2 ** (n - 1))`.

    Args:
        service: `dynamodb` or `sqs`.
        clock: For signatures and waits.
        rng: Source of the jitter.
        remaining: Seconds the caller has left; no try starts and no wait is begun beyond it.

    Raises:
        Rejected: The environment names no region, or an endpoint that is no plain http(s) address.
    """
    return _Transport(service, clock or SystemClock(), rng or system_random(), remaining)


class _Transport:
    def __init__(self, service: str, clock: Clock, rng: random.Random, remaining: Callable[[], float] | None) -> None:
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        if not region:
            msg = "no AWS region: set AWS_REGION"
            raise Rejected(msg, "NoRegion")
        self._target = _TARGETS[service]
        self._signer = Signer(service, region)
        self._pool = Pool(_endpoint(service, region), clock)
        self._clock, self._rng, self._remaining = clock, rng, remaining

    def __call__(self, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        body = json.dumps(params, separators=(",", ":")).encode()
        patience = READ_TIMEOUT + params.get("WaitTimeSeconds", 0)
        lost = fresh = False  # whether an earlier try may have been carried out although no answer told so
        fault: OffloadError = Unavailable(f"{operation}: no time left to call")
        attempt = 0
        while attempt < ATTEMPTS:
            self._wait(attempt, fault)
            try:
                status, code, answer = self._exchange(operation, body, patience, fresh=fresh)
            except _Stale:
                # The service closed the idle connection as we wrote: ordinary, so it costs no try and no wait.
                lost = fresh = True
                continue
            except NotSent as error:
                fault = Unavailable(f"{operation}: {error}")
            except (OSError, http.client.HTTPException, ValueError) as error:
                lost = True
                fault = Unavailable(f"{operation}: no answer from {self._pool.where}: {describe(error)}")
            else:
                if status == _OK:
                    return answer
                fault = classify(operation, status, code, answer, lost=lost)
                if not isinstance(fault, Unavailable):
                    break
                lost = lost or status >= _SERVER_FAULTS
            attempt += 1
        raise fault

    def _wait(self, attempt: int, fault: OffloadError) -> None:
        """Wait before a try, or raise `fault` when the time left does not allow for it."""
        pause = self._rng.uniform(0, min(BACKOFF_CAP, BACKOFF_BASE * 2 ** (attempt - 1))) if attempt else 0.0
        if self._remaining is not None and self._remaining() <= pause:
            raise fault
        if pause:
            self._clock.sleep(pause)

    def _exchange(
        self, operation: str, body: bytes, patience: float, *, fresh: bool
    ) -> tuple[int, str, dict[str, Any]]:
        """Send once and read the answer: status, error code, body."""
        headers = self._headers(operation, body)
        if self._remaining is not None:
            patience = min(patience, max(self._remaining(), 0.001))
        connection, kept = (self._pool.open(patience), False) if fresh else self._pool.take(patience)
        try:
            try:
                connection.request("POST", "/", body, headers)
                response = connection.getresponse()
            except ConnectionError as error:  # http.client's RemoteDisconnected is one
                if kept:
                    raise _Stale from error
                raise
            raw = response.read()
        except BaseException:
            connection.close()
            raise
        self._pool.put(connection)
        if response.status == _OK:
            return _OK, "", _object(raw)
        return _error(response, raw)

    def _headers(self, operation: str, body: bytes) -> dict[str, str]:
        environment = os.environ
        access, secret = environment.get("AWS_ACCESS_KEY_ID"), environment.get("AWS_SECRET_ACCESS_KEY")
        if not access or not secret:
            msg = "no AWS credentials in the environment: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set"
            raise Rejected(msg, "NoCredentials")
        credentials = Credentials(access, secret, environment.get("AWS_SESSION_TOKEN"))
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self._clock.now() // 1000))
        headers = {
            "content-type": "application/x-amz-json-1.0",
            "host": self._pool.host,
            "x-amz-target": f"{self._target}.{operation}",
        }
        return self._signer.sign(headers, body, credentials, moment)


class _Stale(Exception):
    """A kept connection was closed before the first byte of an answer."""


def _endpoint(service: str, region: str) -> str:
    environment = os.environ
    given = environment.get(f"AWS_ENDPOINT_URL_{service.upper()}") or environment.get("AWS_ENDPOINT_URL")
    return given or f"https://{host(service, region)}"


def _object(raw: bytes) -> dict[str, Any]:
    answer = json.loads(raw) if raw else {}
    if not isinstance(answer, dict):
        msg = "the answer is no JSON object"
        raise ValueError(msg)  # noqa: TRY004 - what json.loads raises for a body that is no JSON
    return answer


def _error(response: http.client.HTTPResponse, raw: bytes) -> tuple[int, str, dict[str, Any]]:
    try:
        answer = _object(raw)
    except ValueError:  # a proxy's error page, perhaps: the status has to do
        answer = {}
    return response.status, response.getheader("x-amzn-errortype") or answer.get("__type") or "", answer
