"""The transport over boto3, with the user's ordinary configuration: profiles, SSO, proxies, `AWS_ENDPOINT_URL`.

It serves programs outside Lambda, and every service that the transport in `signed` does not support. boto3 is imported
at first use.
"""

from __future__ import annotations

import itertools
import os
import threading
import weakref
from typing import TYPE_CHECKING, Any

from offload.aws.calls import BRIEF, BRIEF_SECONDS, MOST_BYTES, Call, NotBegun, Rejected, Throttled, classify
from offload.core.clock import Clock, SystemClock
from offload.core.errors import OffloadError, Unavailable
from offload.core.ids import system_random

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

CONNECT_TIMEOUT = 3.0
READ_TIMEOUT = 30.0
ATTEMPTS = 5
"""The patience of a client that is built for other uses than a transport."""

PATIENCE = 10.0
"""Seconds after which a transport makes no further attempt. An endpoint that is silent is given up after two attempts,
and so after about ten seconds."""

LONGEST_SILENCE = 5.0
"""Seconds without a byte of the answer after which an attempt of a transport is given up; a long poll adds its wait."""

_LONGEST_SILENCE_S3 = 15.0
"""S3 answers an upload when it has stored all of it."""

_LONGEST_POLL = 20.0
_BACKOFF_BASE, _BACKOFF_CAP = 0.1, 2.0

_session_lock = threading.Lock()  # two threads must not build clients from one boto3 session at the same time
_session: Any = None
_transports: weakref.WeakSet[_Transport] = weakref.WeakSet()


def client(service: str, **overrides: Any) -> Any:
    """Build a boto3 client from the user's ordinary environment.

    Args:
        service: AWS's name of the service, such as `sqs`.
        overrides: Arguments of `boto3.client`; they replace the defaults set here.

    Raises:
        Rejected: No region is set, or the profile does not exist.
    """
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    global _session  # noqa: PLW0603 - one session for the whole process, like boto3's own default session
    config = Config(
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=READ_TIMEOUT,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        tcp_keepalive=True,
        user_agent_extra="offload",
    )
    caller_config = overrides.pop("config", None)
    # boto3 reads AWS_DEFAULT_REGION alone; Lambda and the other SDKs use AWS_REGION.
    overrides.setdefault("region_name", os.environ.get("AWS_REGION"))
    try:
        with _session_lock:
            if _session is None:
                _session = boto3.session.Session()
            merged = config.merge(caller_config) if caller_config else config
            return _session.client(service, config=merged, **overrides)
    except (BotoCoreError, ValueError) as error:
        raise _translate(service, "client", error) from error


def caller(
    service: str,
    build: Callable[[], Any] | None = None,
    *,
    clock: Clock | None = None,
    rng: random.Random | None = None,
) -> Call:
    """Return a transport to any service; the first call builds its client.

    A request has up to five attempts within ten seconds, with full jitter between them; the last of them may end later,
    by the 5 s (S3: 15 s) that it waits for each byte. A throttle of SSM is told at once: `manifests` waits for it.

    Args:
        service: AWS's name of the service, such as `sqs`.
        build: Builds the client, whose own attempts count as one; None means a client of the user's configuration.
        clock: Measures, and waits between attempts.
        rng: Source of the jitter.
    """
    return _Transport(service, build, clock or SystemClock(), rng or system_random())


class _Transport:
    def __init__(self, service: str, build: Callable[[], Any] | None, clock: Clock, rng: random.Random) -> None:
        self._service = service
        self._build = build
        self._clock, self._rng = clock, rng
        self.forget()
        _transports.add(self)

    def forget(self) -> None:
        """Drop the clients: this process is a child, and their connections and locks belong to its parent."""
        self._lock = threading.Lock()
        self._clients: dict[float, Any] = {}

    def __call__(self, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        most_bytes = params.get(MOST_BYTES)
        patience = BRIEF_SECONDS if params.get(BRIEF) else PATIENCE
        params = {name: value for name, value in params.items() if name not in (MOST_BYTES, BRIEF)}
        client = self._client(polls=bool(params.get("WaitTimeSeconds")))
        began, lost = self._clock.now(), False
        for attempt in itertools.count(1):
            try:
                answer = self._request(client, operation, params, most_bytes, lost=lost)
            except Unavailable as error:
                pause = self._rng.uniform(0, min(_BACKOFF_CAP, _BACKOFF_BASE * 2**attempt))
                is_late = self._clock.now() - began + pause * 1000 >= patience * 1000
                if attempt >= ATTEMPTS or is_late or (self._service == "ssm" and isinstance(error, Throttled)):
                    raise
                lost = lost or not isinstance(error, NotBegun)
                self._clock.sleep(pause)
            else:
                if lost:
                    answer.setdefault("ResponseMetadata", {})["RetryAttempts"] = attempt - 1
                return answer
        raise AssertionError  # the loop has no end of its own

    def _client(self, *, polls: bool) -> Any:
        silence = _LONGEST_SILENCE_S3 if self._service == "s3" else LONGEST_SILENCE
        silence += _LONGEST_POLL if polls else 0
        with self._lock:
            if silence not in self._clients:
                self._clients[silence] = self._build() if self._build else _impatient(self._service, silence)
            return self._clients[silence]

    def _request(
        self, client: Any, operation: str, params: dict[str, Any], most_bytes: int | None, *, lost: bool
    ) -> dict[str, Any]:
        from botocore import xform_name
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer: dict[str, Any] = getattr(client, xform_name(operation))(**params)
            if hasattr(answer.get("Body"), "read"):
                answer["Body"] = _read(operation, answer, most_bytes)
        except (BotoCoreError, ClientError, OSError) as error:
            raise _translate(self._service, operation, error, lost=lost) from error
        return answer


def _impatient(service: str, silence: float) -> Any:
    from botocore.config import Config

    # The requests are the library's own, and well formed: to have botocore validate each parameter would take a quarter
    # of the processor time of enqueueing many jobs.
    once = Config(read_timeout=silence, retries={"total_max_attempts": 1}, parameter_validation=False)
    return client(service, config=once)


def _read(operation: str, answer: dict[str, Any], most_bytes: int | None) -> bytes:
    """Read a body; of one that is too large, nothing."""
    stream, size = answer["Body"], answer.get("ContentLength")
    if most_bytes is not None and size is not None and size > most_bytes:
        stream.close()
        raise Rejected(f"{operation}: the answer has {size} bytes; at most {most_bytes} are read", "EntityTooLarge")
    body: bytes = stream.read()
    return body


def _translate(service: str, operation: str, error: Exception, *, lost: bool = False) -> OffloadError:
    """Turn an exception of boto3 into an error of this library, with one line that says what to do."""
    from botocore import exceptions as botocore_errors

    if isinstance(error, botocore_errors.ClientError):
        response = error.response
        metadata = response.get("ResponseMetadata", {})
        details = response.get("Error", {})
        answer = {"message": details.get("Message", ""), **response}
        # boto3 does not report why it repeated the request. It may have done so because an answer was lost.
        lost = lost or bool(metadata.get("RetryAttempts"))
        return classify(operation, int(metadata.get("HTTPStatusCode", 0)), details.get("Code", ""), answer, lost=lost)
    if isinstance(
        error,
        botocore_errors.NoCredentialsError
        | botocore_errors.PartialCredentialsError
        | botocore_errors.CredentialRetrievalError,
    ):
        advice = "run `aws configure` (or `aws sso login`), or set AWS_PROFILE"
        return Rejected(f"no usable AWS credentials: {advice} ({error})", "NoCredentials")
    if isinstance(error, botocore_errors.NoRegionError):
        return Rejected("no AWS region: set AWS_REGION, or give the profile one with `aws configure`", "NoRegion")
    if isinstance(error, botocore_errors.TokenRetrievalError | botocore_errors.SSOError):
        return Rejected(f"the AWS sign-in has expired: run `aws sso login` ({error})", "NoCredentials")
    if isinstance(error, botocore_errors.EndpointConnectionError | botocore_errors.ConnectTimeoutError):
        return NotBegun(_unreachable(service, operation, error))
    if isinstance(
        error,
        botocore_errors.ConnectionError
        | botocore_errors.HTTPClientError
        | botocore_errors.IncompleteReadError
        | OSError,
    ):
        return Unavailable(_unreachable(service, operation, error))
    return Rejected(f"{service} {operation}: {error}", type(error).__name__)


def _unreachable(service: str, operation: str, error: Exception) -> str:
    endpoint = os.environ.get(f"AWS_ENDPOINT_URL_{service.upper()}") or os.environ.get("AWS_ENDPOINT_URL")
    if endpoint:
        advice = (
            f"nothing answers at AWS_ENDPOINT_URL={endpoint}: start the local engine with `offload local up`, or unset "
            "the variable"
        )
    else:
        advice = f"AWS does not answer: check the network and the region ({error})"
    return f"{service} {operation}: {advice}"


def _forget_all() -> None:
    """Begin anew in the child of a fork: connections, locks and a session half built belong to the parent."""
    global _session, _session_lock
    _session, _session_lock = None, threading.Lock()
    for transport in list(_transports):
        transport.forget()


os.register_at_fork(after_in_child=_forget_all)
