"""The transport for workers inside Lambda: signed JSON requests over kept-alive connections, without the AWS SDK.

This transport exists for speed. One boto3 call costs 2.0 to 2.6 ms of processor time, and a job makes several calls;
importing boto3 costs 0.9 s of every cold start.

The transport uses AWS JSON 1.0, the protocol of DynamoDB and SQS. It reads credentials and region from the environment
variables that Lambda sets. It does not support profiles, proxies and FIPS endpoints; `sdk` supports them.

The transport is thread-safe: each request takes an idle connection or opens a new one, and puts the connection back
when the answer was read.
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
from offload.core.clock import Clock, SystemClock
from offload.core.errors import OffloadError, Unavailable
from offload.core.ids import system_random

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

READ_TIMEOUT = 5.0
"""Seconds without a byte of the answer. Both services answer within tens of milliseconds; a long poll adds its wait."""
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

    The region is `AWS_REGION`. The endpoint is `AWS_ENDPOINT_URL_<SERVICE>`, else `AWS_ENDPOINT_URL`, else the region's
    own. A request has up to five attempts; the wait before attempt n + 1 is drawn evenly from 0 to
    `min(2 s, 50 ms * 2 ** (n - 1))`.

    Args:
        service: `dynamodb` or `sqs`.
        clock: Gives the time for signatures, and waits between attempts.
        rng: Source of the jitter.
        remaining: Returns the seconds that the caller has left. An attempt starts only before their end, and so does a
            wait.

    Raises:
        Rejected: The environment names no region, or the endpoint is not a plain http(s) address.
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
        read_timeout = READ_TIMEOUT + params.get("WaitTimeSeconds", 0)
        lost = False  # True when an earlier attempt may have been carried out, because its answer was lost
        open_new = False
        failure: OffloadError = Unavailable(f"{operation}: no time left for the request")
        attempt = 0
        while attempt < ATTEMPTS:
            self._wait(attempt, failure)
            try:
                status, code, answer = self._exchange(operation, body, read_timeout, open_new=open_new)
            except _ClosedMeanwhile:
                # Services close idle connections in ordinary operation, so this counts as no attempt and needs no wait.
                lost = open_new = True
                continue
            except NotSent as error:
                failure = Unavailable(f"{operation}: {error}")
            except (OSError, http.client.HTTPException, ValueError) as error:
                lost = True
                failure = Unavailable(f"{operation}: no answer from {self._pool.address}: {describe(error)}")
            else:
                if status == _OK:
                    return answer
                failure = classify(operation, status, code, answer, lost=lost)
                if not isinstance(failure, Unavailable):
                    break
                lost = lost or status >= _SERVER_FAULTS
            attempt += 1
        raise failure

    def _wait(self, attempt: int, failure: OffloadError) -> None:
        """Wait before an attempt; raise `failure` when the caller has too little time left for the wait."""
        pause = self._rng.uniform(0, min(BACKOFF_CAP, BACKOFF_BASE * 2 ** (attempt - 1))) if attempt else 0.0
        if self._remaining is not None and self._remaining() <= pause:
            raise failure
        if pause:
            self._clock.sleep(pause)

    def _exchange(
        self, operation: str, body: bytes, read_timeout: float, *, open_new: bool
    ) -> tuple[int, str, dict[str, Any]]:
        """Send the request once and read the answer: status, error code, body."""
        headers = self._headers(operation, body)
        if self._remaining is not None:
            read_timeout = min(read_timeout, max(self._remaining(), 0.001))
        connection, used_before = (self._pool.open(read_timeout), False) if open_new else self._pool.take(read_timeout)
        try:
            try:
                connection.request("POST", "/", body, headers)
                response = connection.getresponse()
            except ConnectionError as error:  # `RemoteDisconnected` of http.client is a ConnectionError
                if used_before:
                    raise _ClosedMeanwhile from error
                raise
            raw = response.read()
        except BaseException:
            connection.close()
            raise
        self._pool.put(connection)
        if response.status == _OK:
            return _OK, "", _json_object(raw)
        return _error(response, raw)

    def _headers(self, operation: str, body: bytes) -> dict[str, str]:
        environment = os.environ
        access_key, secret_key = environment.get("AWS_ACCESS_KEY_ID"), environment.get("AWS_SECRET_ACCESS_KEY")
        if not access_key or not secret_key:
            msg = "no AWS credentials in the environment: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set"
            raise Rejected(msg, "NoCredentials")
        credentials = Credentials(access_key, secret_key, environment.get("AWS_SESSION_TOKEN"))
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self._clock.now() // 1000))
        headers = {
            "content-type": "application/x-amz-json-1.0",
            "host": self._pool.host,
            "x-amz-target": f"{self._target}.{operation}",
        }
        return self._signer.sign(headers, body, credentials, moment)


class _ClosedMeanwhile(Exception):
    """The service closed a connection from the pool before the first byte of an answer."""


def _endpoint(service: str, region: str) -> str:
    environment = os.environ
    configured = environment.get(f"AWS_ENDPOINT_URL_{service.upper()}") or environment.get("AWS_ENDPOINT_URL")
    return configured or f"https://{host(service, region)}"


def _json_object(raw: bytes) -> dict[str, Any]:
    answer = json.loads(raw) if raw else {}
    if not isinstance(answer, dict):
        msg = "the answer is not a JSON object"
        raise ValueError(msg)  # noqa: TRY004 - `json.loads` raises the same error for a body that is not JSON
    return answer


def _error(response: http.client.HTTPResponse, raw: bytes) -> tuple[int, str, dict[str, Any]]:
    try:
        answer = _json_object(raw)
    except ValueError:  # the body may be the error page of a proxy: then the status alone decides
        answer = {}
    return response.status, response.getheader("x-amzn-errortype") or answer.get("__type") or "", answer
