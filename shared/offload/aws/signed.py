"""The transport for workers inside Lambda: signed requests over kept-alive connections, without the AWS SDK.

This transport exists for speed, and for time: one boto3 call costs 2.0 to 2.6 ms of processor time, and a job makes
several calls; importing boto3 costs 0.9 s of every cold start. And each request knows the time that is left to the
invocation, whatever hangs.

The transport speaks to the services that `protocols` lists. It reads the region from the environment variables that
Lambda sets, and the credentials as `credentials` says. It does not support profiles, proxies and FIPS endpoints; `sdk`
supports them.

The transport is thread-safe: each request takes an idle connection or opens a new one, and puts the connection back
when the answer was read. After a fork the child opens connections of its own.
"""

from __future__ import annotations

import http.client
import os
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from offload.aws.calls import BRIEF, BRIEF_SECONDS, Call, NotBegun, Rejected, classify, short_code
from offload.aws.connections import NotSent, Pool, describe
from offload.aws.credentials import STALE, FunctionCredentials
from offload.aws.protocols import service as protocol_of
from offload.aws.regions import host
from offload.aws.sigv4 import Signer, Unsigned
from offload.core.clock import Clock, Deadline, SystemClock
from offload.core.errors import OffloadError, Unavailable
from offload.core.ids import system_random

if TYPE_CHECKING:
    import random

    from offload.aws.protocols import Encoded
    from offload.aws.sigv4 import Credentials
    from offload.core.clock import RequestTime

ATTEMPTS = 5
BACKOFF_BASE = 0.05
BACKOFF_CAP = 2.0
LONGEST_SILENCE = 5.0
"""Seconds without a byte after which an attempt is given up; a long poll adds its wait."""

_SHORTEST_ATTEMPT = 0.5
"""Seconds that an attempt has, while there are so many. Less would fail requests that are merely slow."""

_NO_TIME = 0.01
"""Seconds with which nothing can be begun."""

_SPARE = {"sqs": 2.0}
_LONGEST_SPARE = 4.0
"""Seconds before the end of the invocation at which a request has to be over. SQS comes last: messages are returned to
their queues after the job table, or the bucket, has failed to answer."""

_MOST_ERROR_BYTES = 1024 * 1024
_MOST_POOLS = 8
_NOT_OK = 300


def caller(
    service: str, *, clock: Clock | None = None, rng: random.Random | None = None, deadline: Deadline | None = None
) -> Call:
    """Return a transport to `dynamodb`, `sqs`, `s3` or `scheduler`.

    The region is `AWS_REGION`. The endpoint is `AWS_ENDPOINT_URL_<SERVICE>`, else `AWS_ENDPOINT_URL`, else the region's
    own. A request has up to five attempts; the wait before attempt n + 1 is drawn evenly from 0 to
    `min(2 s, 50 ms * 2 ** (n - 1))`. An attempt ends after 5 s (S3: 30 s; a long poll adds its wait), and after its
    even share of the time that is left: the first attempt does not use up the time of the others.

    Args:
        service: AWS's name of the service.
        clock: Gives the time for signatures, and waits between attempts.
        rng: Source of the jitter.
        deadline: The end of the current invocation.

    Raises:
        Rejected: The environment names no region, or the endpoint is not a plain http(s) address.
    """
    return _Transport(service, clock or SystemClock(), rng or system_random(), deadline or Deadline())


class _Transport:
    def __init__(self, service: str, clock: Clock, rng: random.Random, deadline: Deadline) -> None:
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        if not region:
            msg = "no AWS region: set AWS_REGION"
            raise Rejected(msg, "NoRegion")
        self._service, self._protocol = service, protocol_of(service)
        self._signer = Signer(service, region)
        self._clock, self._rng, self._deadline = clock, rng, deadline
        self._credentials = FunctionCredentials(clock)
        self._endpoint = _configured_endpoint(service)
        self._host = host(service, region)
        self._pools: dict[str, Pool] = {}
        self._pool("")  # a wrong endpoint is told at once

    def __call__(self, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        brief = bool(params.get(BRIEF))
        if brief:
            params = {name: value for name, value in params.items() if name != BRIEF}
        encoded = self._protocol.encode(operation, params, own_endpoint=self._endpoint is not None)
        time_left = self._deadline.begin(self._service, _SPARE.get(self._service, _LONGEST_SPARE))
        if brief:
            time_left = time_left.within(BRIEF_SECONDS)
        request = _Request(operation, encoded, self._pool(encoded.subdomain), time_left)
        try:
            return self._repeat(request)
        except Unavailable:
            if time_left.left() <= _NO_TIME:
                time_left.ran_out()
            raise

    def _repeat(self, request: _Request) -> dict[str, Any]:
        operation = request.operation
        lost = False  # True when an earlier attempt may have been carried out, because its answer was lost
        open_new = False
        refused: Credentials | None = None
        failure: OffloadError = Unavailable(f"{operation}: no time left for the request")
        attempt = 0
        while attempt < ATTEMPTS:
            self._wait(attempt, request.time, failure)
            credentials = self._credentials.current(request.time.left(), refused=refused)
            if credentials == refused:
                break  # there are no others
            try:
                answer = self._exchange(request, credentials, ATTEMPTS - attempt, open_new=open_new)
                if answer.status < _NOT_OK:
                    return _with_repeats(self._protocol.decode(answer.raw), max(attempt, 1) if lost else 0)
            except _ClosedMeanwhile:
                # Services close idle connections in ordinary operation, so this counts as no attempt and needs no wait.
                lost = open_new = True
                continue
            except NotSent as error:
                failure = NotBegun(f"{operation}: {error}")
            except (OSError, http.client.HTTPException, ValueError) as error:
                lost = True
                failure = Unavailable(f"{operation}: no answer from {request.pool.address}: {describe(error)}")
            else:
                code, body = self._protocol.error(answer.headers, answer.raw)
                failure = classify(operation, answer.status, code, body, lost=lost)
                if short_code(code) in STALE and refused is None:
                    refused = credentials
                    continue
                if not isinstance(failure, Unavailable):
                    break
                lost = lost or not isinstance(failure, NotBegun)
            attempt += 1
        raise failure

    def _wait(self, attempt: int, time_left: RequestTime, failure: OffloadError) -> None:
        """Wait before an attempt; raise `failure` when the caller has too little time left for the wait."""
        pause = self._rng.uniform(0, min(BACKOFF_CAP, BACKOFF_BASE * 2 ** (attempt - 1))) if attempt else 0.0
        if time_left.left() <= pause + _NO_TIME:
            time_left.ran_out()
            raise failure
        if pause:
            self._clock.sleep(pause)

    def _exchange(self, request: _Request, credentials: Credentials, attempts_left: int, *, open_new: bool) -> _Answer:
        """Send the request once and read the answer."""
        pool, encoded, left = request.pool, request.encoded, request.time.left()
        total = max(min(encoded.seconds, max(left / attempts_left, _SHORTEST_ATTEMPT), left), 0.001)
        idle = min(total, LONGEST_SILENCE) if self._service == "s3" else total
        unsigned = Unsigned(
            encoded.method, encoded.path, encoded.query, {**encoded.headers, "host": pool.host}, encoded.body
        )
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self._clock.now() // 1000))
        headers = self._signer.sign(unsigned, credentials, moment)
        target = f"{encoded.path}?{unsigned.query_string}" if encoded.query else encoded.path
        connection, used_before = (pool.open(total, idle), False) if open_new else pool.take(total, idle)
        try:
            try:
                connection.request(encoded.method, target, encoded.body or None, headers)
                response = connection.getresponse()
            except ConnectionError as error:  # `RemoteDisconnected` of http.client is a ConnectionError
                if used_before:
                    raise _ClosedMeanwhile from error
                raise
            with response:  # of a response that is not read to its end, the connection is of no more use
                is_error = response.status >= _NOT_OK
                raw = _body(response, request.operation, _MOST_ERROR_BYTES if is_error else encoded.most_bytes)
        except BaseException:
            connection.close()
            raise
        pool.put(connection)
        return _Answer(response.status, response.headers if is_error else {}, raw)

    def _pool(self, subdomain: str) -> Pool:
        pool = self._pools.get(subdomain)
        if pool is None:
            if len(self._pools) >= _MOST_POOLS:  # buckets of many names, each with open connections
                self._pools = {}
            pool = Pool(self._endpoint or f"https://{subdomain}{self._host}", self._clock)
            self._pools[subdomain] = pool
        return pool


class _Request(NamedTuple):
    operation: str
    encoded: Encoded
    pool: Pool
    time: RequestTime


class _Answer(NamedTuple):
    status: int
    headers: Any
    raw: bytes


class _ClosedMeanwhile(Exception):
    """The service closed a connection from the pool before the first byte of an answer."""


def _configured_endpoint(service: str) -> str | None:
    environment = os.environ
    return environment.get(f"AWS_ENDPOINT_URL_{service.upper()}") or environment.get("AWS_ENDPOINT_URL") or None


def _with_repeats(answer: dict[str, Any], repeats: int) -> dict[str, Any]:
    """Say in an answer, as boto3 does, that an earlier attempt may have been carried out."""
    if repeats:
        answer["ResponseMetadata"] = {"RetryAttempts": repeats}
    return answer


def _body(response: http.client.HTTPResponse, operation: str, most_bytes: int) -> bytes:
    """Read a body of bounded size.

    Raises:
        Rejected: The body is larger; of a body that says its size nothing is read.
    """
    if response.length is None:
        raw = response.read(most_bytes + 1)
        if len(raw) <= most_bytes:
            return raw
        size = f"more than {most_bytes}"
    elif response.length <= most_bytes:
        return response.read()
    else:
        size = str(response.length)
    raise Rejected(f"{operation}: the answer has {size} bytes; at most {most_bytes} are read", "EntityTooLarge")
