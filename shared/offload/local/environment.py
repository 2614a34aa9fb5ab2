"""The variables that point AWS programs at a local engine, and the few the engine itself runs with."""

from __future__ import annotations

import contextlib
import os
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, MutableMapping

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
_ENDPOINTS = "AWS_ENDPOINT_URL_"
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", *_PROXIES)
"""What the engine, and with it every function, gets of the user's environment: no secret, no Python setting."""


def endpoint(port: int) -> str:
    """Return the engine's address."""
    return f"http://{LOOPBACK}:{port}"


def for_clients(port: int, stack: str | None, environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return what a program needs to speak to the engine, and to nothing else.

    Args:
        port: The engine's.
        stack: The deployed stack's name, when there is one.
        environment: The surrounding variables, `os.environ` by default: what proxies need depends on them.
    """
    url = endpoint(port)
    variables = {
        "AWS_ENDPOINT_URL": url,
        f"{_ENDPOINTS}S3": url,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_EC2_METADATA_DISABLED": "true",
        **_past_proxies(os.environ if environment is None else environment),
    }
    if stack:
        variables["OFFLOAD_STACK"] = stack
    return variables


def interfering(environment: Mapping[str, str] | None = None) -> list[str]:
    """Name the variables to unset: they would lead an AWS program elsewhere, or to other credentials."""
    around = os.environ if environment is None else environment
    others = [name for name in around if name.startswith(_ENDPOINTS) and name != f"{_ENDPOINTS}S3"]
    return [*_INTERFERING, *sorted(others)]


def activate(variables: Mapping[str, str], environment: MutableMapping[str, str]) -> None:
    """Point an environment at the engine."""
    for name in interfering(environment):
        environment.pop(name, None)
    environment.update(variables)


@contextlib.contextmanager
def pointing_at(variables: Mapping[str, str]) -> Iterator[None]:
    """Point this very process at the engine while the block runs."""
    before = dict(os.environ)
    activate(variables, os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def as_shell(variables: Mapping[str, str], unset: Iterable[str]) -> str:
    """Write variables for `eval` in a POSIX shell."""
    lines = [f"unset {name}" for name in unset]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    return "\n".join(lines)


def for_engine(layout: Layout, port: int, environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the engine's whole environment. Functions inherit it, so it is kept as small as Lambda's own."""
    around = os.environ if environment is None else environment
    return {
        **{name: around[name] for name in _PASSED_ON if name in around},
        **_past_proxies(around),
        "HOME": str(layout.scratch),
        "TMPDIR": str(layout.scratch),
        "AWS_EC2_METADATA_DISABLED": "true",
        "BIND_HOST": LOOPBACK,
        "GATEWAY_PORT": str(port),
        "MINISTACK_REGION": REGION,
        "PERSIST_STATE": "1",
        "STATE_DIR": str(layout.services),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(layout.objects),
        "SFTP_ENABLED": "0",
        # A burst leaves its extra function processes, of some 80 MB each, warm for so long; the first one stays.
        "LAMBDA_WARM_TTL_SECONDS": "60",
    }


def _past_proxies(around: Mapping[str, str]) -> dict[str, str]:
    """Keep loopback out of a proxy, where there is one."""
    if not any(around.get(name) for name in _PROXIES):
        return {}
    given = around.get("NO_PROXY") or around.get("no_proxy") or ""
    hosts = [host.strip() for host in given.split(",") if host.strip()]
    hosts += [host for host in (LOOPBACK, "localhost") if host not in hosts]
    return {"NO_PROXY": ",".join(hosts), "no_proxy": ",".join(hosts)}
