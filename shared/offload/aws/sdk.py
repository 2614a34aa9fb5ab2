"""The transport over boto3, with the user's ordinary configuration: profiles, SSO, proxies, `AWS_ENDPOINT_URL`.

It serves programs outside Lambda, and every service that the transport in `signed` does not support. boto3 is imported
at first use.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

from offload.aws.calls import Call, Rejected, classify
from offload.core.errors import OffloadError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

CONNECT_TIMEOUT = 3.0
READ_TIMEOUT = 30.0
"""Seconds without a byte of the answer. The longest poll of a queue takes 20 seconds."""
ATTEMPTS = 5

_session_lock = threading.Lock()  # two threads must not build clients from one boto3 session at the same time
_session: Any = None


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


def caller(service: str, build: Callable[[], Any] | None = None) -> Call:
    """Return a transport to any service; the first call builds its client.

    Args:
        service: AWS's name of the service, such as `sqs`.
        build: Builds the client; None means `client(service)`.
    """
    return _Transport(service, build or (lambda: client(service)))


class _Transport:
    def __init__(self, service: str, build: Callable[[], Any]) -> None:
        self._service = service
        self._build = build
        self._lock = threading.Lock()
        self._client: Any = None

    def __call__(self, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            if self._client is None:
                self._client = self._build()
        from botocore import xform_name
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer: dict[str, Any] = getattr(self._client, xform_name(operation))(**params)
            if hasattr(answer.get("Body"), "read"):
                answer["Body"] = answer["Body"].read()
        except (BotoCoreError, ClientError, OSError) as error:
            raise _translate(self._service, operation, error) from error
        return answer


def _translate(service: str, operation: str, error: Exception) -> OffloadError:
    """Turn an exception of boto3 into an error of this library, with one line that says what to do."""
    from botocore import exceptions as botocore_errors

    if isinstance(error, botocore_errors.ClientError):
        response = error.response
        metadata = response.get("ResponseMetadata", {})
        details = response.get("Error", {})
        answer = {"message": details.get("Message", ""), **response}
        # boto3 does not report why it repeated the request. It may have done so because an answer was lost.
        lost = bool(metadata.get("RetryAttempts"))
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
