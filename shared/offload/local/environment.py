"""The environment variables with which AWS programs use a local engine, and those of the engine itself."""

from __future__ import annotations

import contextlib
import os
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, MutableMapping

    from offload.local.key import Key
    from offload.local.layout import Layout

REGION = "us-east-1"
ACCOUNT = "000000000000"
LOOPBACK = "127.0.0.1"

_INTERFERING = (
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_USE_DUALSTACK_ENDPOINT",
)
_ENDPOINT_PREFIX = "AWS_ENDPOINT_URL_"
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", *_PROXIES)
"""Variables of the user that the engine gets, and so every function: no secrets, and no settings of Python."""


def endpoint(port: int) -> str:
    """Return the engine's address."""
    return f"http://{LOOPBACK}:{port}"


def for_clients(port: int, key: Key, stack: str | None, environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the variables with which a program uses the engine, and no real AWS service.

    Args:
        port: The engine's port.
        key: The engine's key.
        stack: Name of the deployed stack; None when there is none.
        environment: The user's variables, which may configure proxies; None means `os.environ`.
    """
    url = endpoint(port)
    variables = {
        "AWS_ENDPOINT_URL": url,
        f"{_ENDPOINT_PREFIX}S3": url,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": key.access_key,
        "AWS_SECRET_ACCESS_KEY": key.secret_key,
        "AWS_EC2_METADATA_DISABLED": "true",
        **_bypass_proxies(os.environ if environment is None else environment),
    }
    if stack:
        variables["OFFLOAD_STACK"] = stack
    return variables


def interfering(environment: Mapping[str, str] | None = None) -> list[str]:
    """Return the names of variables to unset: with them, a program would use other endpoints or credentials."""
    user = os.environ if environment is None else environment
    endpoints = [name for name in user if name.startswith(_ENDPOINT_PREFIX) and name != f"{_ENDPOINT_PREFIX}S3"]
    return [*_INTERFERING, *sorted(endpoints)]


def activate(variables: Mapping[str, str], environment: MutableMapping[str, str]) -> None:
    """Change an environment so that its programs use the engine."""
    for name in interfering(environment):
        environment.pop(name, None)
    environment.update(variables)


@contextlib.contextmanager
def pointing_at(variables: Mapping[str, str]) -> Iterator[None]:
    """Let this process use the engine while the block runs."""
    saved = dict(os.environ)
    activate(variables, os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(saved)


def as_shell(variables: Mapping[str, str], unset: Iterable[str]) -> str:
    """Return commands for `eval` in a POSIX shell that unset and export variables."""
    lines = [f"unset {name}" for name in unset]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    return "\n".join(lines)


def for_engine(layout: Layout, port: int, key: Key, environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the whole environment of the engine. It is as small as Lambda's own, because functions inherit it.

    The guard takes the requests that are signed with `key`; functions sign with its secret too.
    """
    user = os.environ if environment is None else environment
    return {
        **{name: user[name] for name in _PASSED_ON if name in user},
        **_bypass_proxies(user),
        "HOME": str(layout.scratch),
        "TMPDIR": str(layout.scratch),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ACCESS_KEY_ID": key.access_key,
        "AWS_SECRET_ACCESS_KEY": key.secret_key,
        "BIND_HOST": LOOPBACK,
        "GATEWAY_PORT": str(port),
        "MINISTACK_REGION": REGION,
        "PERSIST_STATE": "1",
        "STATE_DIR": str(layout.services),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(layout.objects),
        "SFTP_ENABLED": "0",
        # After a burst of jobs, the engine ends idle function processes (about 80 MB each) after this time, except one.
        "LAMBDA_WARM_TTL_SECONDS": "60",
    }


def _bypass_proxies(user: Mapping[str, str]) -> dict[str, str]:
    """Return variables that keep loopback requests out of a proxy; none when the user has no proxy."""
    if not any(user.get(name) for name in _PROXIES):
        return {}
    no_proxy = user.get("NO_PROXY") or user.get("no_proxy") or ""
    hosts = [host.strip() for host in no_proxy.split(",") if host.strip()]
    hosts += [host for host in (LOOPBACK, "localhost") if host not in hosts]
    return {"NO_PROXY": ",".join(hosts), "no_proxy": ",".join(hosts)}
