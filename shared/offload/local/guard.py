"""The engine's program: the embedded engine behind a guard, so that nobody but its owner can use it.

The engine runs any code that it is given, as the user who started it. By itself it checks no signature, and it allows
every web page to call it. The guard stands before it in the same process, so there is no other way in. The guard
refuses a request

| that                                              | which stops                                                  |
|---------------------------------------------------|--------------------------------------------------------------|
| names another host than loopback with the port    | a page whose name resolves to loopback (DNS rebinding)       |
| comes from a web page (`Origin`, `Sec-Fetch-...`) | a page that calls loopback                                   |
| is not signed with a key that the engine knows    | other users of the machine, and programs without the key     |
| opens a WebSocket                                 | pages, for which browsers do not hold WebSockets back        |

Two requests need no signature: the question whether the engine is ready, and the answer of a custom resource, whose
URL contains a random token.

The engine's own interpreter runs this file as a program. The file imports nothing of this library, because the engine's
environment does not have it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, MutableMapping

    Event = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Event]]
    Send = Callable[[Event], Awaitable[None]]
    Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

_READY = ("GET", "/_ministack/ready")
_CUSTOM_RESOURCE = ("PUT", "/_ministack/cfn-response/")
_LARGEST_BODY = 100_000_000
"""Bytes of a body that is read before its signature can be checked. Only S3 takes larger ones, and signs their hash."""
_FROM_A_PAGE = ("origin", "sec-fetch-site")
"""Headers that browsers send, and AWS programs do not."""
_ACCOUNT = "000000000000"
"""The account of a key that is no account number itself. Functions sign with their account's number as their key."""


class RefusedRequest(Exception):
    """The guard refuses a request. The message says why."""


@dataclass(frozen=True, slots=True)
class Guard:
    """An ASGI application before the engine's own.

    Attributes:
        engine: The engine's application.
        port: The port that the engine listens on.
        check_signature: Called with method, raw path, query, headers and body; raises `RefusedRequest`.
    """

    engine: Application
    port: int
    check_signature: Callable[[str, str, Mapping[str, list[str]], Mapping[str, str], bytes], None]

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Hand a request to the engine, or refuse it."""
        if scope["type"] == "lifespan":
            await self.engine(scope, receive, send)
        elif scope["type"] != "http":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            try:
                receive = await self._check(scope, receive)
            except RefusedRequest as refused:
                await _answer(send, refused)
            else:
                await self.engine(scope, receive, _without_cors(send))

    async def _check(self, scope: MutableMapping[str, Any], receive: Receive) -> Receive:
        """Check a request, and return what the engine reads the body from.

        Raises:
            RefusedRequest: The request may not reach the engine.
        """
        headers = _headers(scope)
        if headers.get("host") not in (f"127.0.0.1:{self.port}", f"localhost:{self.port}"):
            raise RefusedRequest("the Host header must name loopback and the engine's port")
        if any(name in headers for name in _FROM_A_PAGE):
            raise RefusedRequest("web pages may not call the engine")
        method, path = scope["method"], scope["path"]
        if (method, path) == _READY or (method == _CUSTOM_RESOURCE[0] and path.startswith(_CUSTOM_RESOURCE[1])):
            return receive
        body = b""
        # A signature that names the hash of the body, or is in the URL, can be checked before the body is read.
        if "authorization" in headers and "x-amz-content-sha256" not in headers:
            body = await _read(receive)
            receive = _again(body, receive)
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
        raw_path = (scope.get("raw_path") or path.encode()).decode("latin-1")
        self.check_signature(method, raw_path, query, headers, body)
        return receive


def check_signature(
    method: str, raw_path: str, query: Mapping[str, list[str]], headers: Mapping[str, str], body: bytes
) -> None:
    """Check a signature (AWS Signature Version 4) with the engine's own keys and functions.

    The engine gives functions and assumed roles keys of their own, whose secrets are random or the secret of the
    engine's key.

    Raises:
        RefusedRequest: The request is not signed, or not with a key that the engine knows.
    """
    from ministack.core import iam_evaluator, sigv4

    presigned = "authorization" not in headers and "X-Amz-Signature" in query
    signature = sigv4.parse_query_signature(query) if presigned else sigv4.parse_header_signature(headers)
    if isinstance(signature, tuple) or not signature.access_key_id or signature.region_set is not None:
        raise RefusedRequest("sign the request with the engine's key, which `offload local env` prints")
    if presigned:
        expires = query.get("X-Amz-Expires", [""])[0]
        late = not expires.isdigit() or sigv4.presigned_request_is_expired(signature.amz_date, expires)
    else:
        late = bool(sigv4.request_time_failure(signature)) or len(signature.amz_date) != 16  # noqa: PLR2004 - its form
    if late:
        raise RefusedRequest("the request was signed at another time")
    key_id = signature.access_key_id
    known = iam_evaluator.resolve_credential(key_id, key_id if key_id.isdigit() else _ACCOUNT)
    secret = getattr(known, "secret_access_key", "")
    if not secret or sigv4.header_signature_failure(
        signature, secret, method, raw_path, query, headers, body, presigned=presigned
    ):
        raise RefusedRequest("the request is not signed with the engine's key, which `offload local env` prints")


def _headers(scope: Mapping[str, Any]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return headers


async def _read(receive: Receive) -> bytes:
    """Read a whole body.

    Raises:
        RefusedRequest: The body is too large, or incomplete.
    """
    parts, size = [], 0
    while True:
        event = await receive()
        if event["type"] != "http.request":
            raise RefusedRequest("the request ended early")
        parts.append(event.get("body", b""))
        size += len(parts[-1])
        if size > _LARGEST_BODY:
            raise RefusedRequest(f"the body is larger than {_LARGEST_BODY} bytes")
        if not event.get("more_body"):
            return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    """Return a function that hands out a body that was read already, and then what `receive` says."""
    events: list[Event] = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_event() -> Event:
        return events.pop() if events else await receive()

    return next_event


def _without_cors(send: Send) -> Send:
    """Return a function that sends answers without the headers that let web pages read them."""

    async def send_event(event: Event) -> None:
        if event["type"] == "http.response.start":
            allowed = [pair for pair in event.get("headers", []) if not pair[0].lower().startswith(b"access-control-")]
            event = {**event, "headers": allowed}
        await send(event)

    return send_event


async def _answer(send: Send, refused: RefusedRequest) -> None:
    text = f'{{"__type": "AccessDeniedException", "message": "{refused}"}}'.encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(text)).encode())]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": text})


def main() -> None:
    """Run the engine behind the guard.

    Raises:
        SystemExit: The environment has no key of the engine.
    """
    if not os.environ.get("AWS_ACCESS_KEY_ID") or not os.environ.get("AWS_SECRET_ACCESS_KEY"):
        raise SystemExit("the engine has no key: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set")
    from ministack import app as engine

    engine.app = Guard(engine.app, int(os.environ["GATEWAY_PORT"]), check_signature)
    engine.main()


if __name__ == "__main__":
    main()
