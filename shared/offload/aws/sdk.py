"""The transport over boto3, with the user's ordinary configuration: profiles, SSO, proxies, `AWS_ENDPOINT_URL`.

For programs outside Lambda, and for the services the lean transport does not speak. boto3 is imported at first use.
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
"""Seconds without a byte: more than the longest poll of a queue, which is 20."""
ATTEMPTS = 5

_building = threading.Lock()  # a boto3 session is not safe to share while clients are made from it
_session: Any = None


def client(service: str, **overrides: Any) -> Any:
    """Build a boto3 client from the user's ordinary environment.

    Args:
        service: Such as `sqs`.
        overrides: Arguments of `boto3.client`; they win over the defaults set here.

    Raises:
        Rejected: No region, or a profile that does not exist.
    """
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    global _session  # noqa: PLW0603 - one session a process, as boto3's own default is
    config = Config(
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=READ_TIMEOUT,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        tcp_keepalive=True,
        user_agent_extra="offload",
    )
    given = overrides.pop("config", None)
    # boto3 reads AWS_DEFAULT_REGION only; AWS_REGION is what the other SDKs and Lambda go by.
    overrides.setdefault("region_name", os.environ.get("AWS_REGION"))
    try:
        with _building:
            if _session is None:
                _session = boto3.session.Session()
            return _session.client(service, config=config.merge(given) if given else config, **overrides)
    except (BotoCoreError, ValueError) as error:
        raise _translate(service, "client", error) from error


def caller(service: str, build: Callable[[], Any] | None = None) -> Call:
    """Return a transport to any service; its client is built by the first call.

    Args:
        service: Such as `sqs`.
        build: Builds the client; `client(service)` when None.
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
    """Turn what boto3 raises into one line that says what to do."""
    from botocore import exceptions as known

    if isinstance(error, known.ClientError):
        response = error.response
        meta = response.get("ResponseMetadata", {})
        said = response.get("Error", {})
        answer = {"message": said.get("Message", ""), **response}
        # boto3 does not tell why it tried again; that an answer was lost is the case to be careful about.
        lost = bool(meta.get("RetryAttempts"))
        return classify(operation, int(meta.get("HTTPStatusCode", 0)), said.get("Code", ""), answer, lost=lost)
    if isinstance(error, known.NoCredentialsError | known.PartialCredentialsError | known.CredentialRetrievalError):
        advice = "run `aws configure` (or `aws sso login`), or set AWS_PROFILE"
        return Rejected(f"no usable AWS credentials: {advice} ({error})", "NoCredentials")
    if isinstance(error, known.NoRegionError):
        return Rejected("no AWS region: set AWS_REGION, or give the profile one with `aws configure`", "NoRegion")
    if isinstance(error, known.TokenRetrievalError | known.SSOError):
        return Rejected(f"the AWS sign-in has expired: run `aws sso login` ({error})", "NoCredentials")
    if isinstance(error, known.ConnectionError | known.HTTPClientError | known.IncompleteReadError | OSError):
        return Unavailable(_unreachable(service, operation, error))
    return Rejected(f"{service} {operation}: {error}", type(error).__name__)


def _unreachable(service: str, operation: str, error: Exception) -> str:
    given = os.environ.get(f"AWS_ENDPOINT_URL_{service.upper()}") or os.environ.get("AWS_ENDPOINT_URL")
    if given:
        advice = (
            f"nothing answers at AWS_ENDPOINT_URL={given}: start the local engine with `offload local up`, or unset it"
        )
    else:
        advice = f"AWS does not answer: check the network and the region ({error})"
    return f"{service} {operation}: {advice}"
