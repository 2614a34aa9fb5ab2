"""The guard as an ASGI application, before an engine that echoes."""

import asyncio

import pytest

from offload.local.guard import Guard, RefusedRequest

CORS = (b"Access-Control-Allow-Origin", b"*")
SIGNED = {"host": "localhost:4566", "authorization": "AWS4-HMAC-SHA256 ..."}


async def echo(scope, receive, send):
    body = b""
    if scope["type"] == "http":
        while True:
            event = await receive()
            body += event.get("body", b"")
            if not event.get("more_body"):
                break
    await send({"type": "http.response.start", "status": 200, "headers": [CORS, (b"x-kept", b"1")]})
    await send({"type": "http.response.body", "body": body})


def never(*_):
    raise AssertionError("the signature must not be looked at")


def refuse(*_):
    raise RefusedRequest("no signature")


def run(check, headers, *parts, method="POST", path="/", kind="http"):
    events = [
        {"type": "http.request", "body": part, "more_body": number < len(parts)}
        for number, part in enumerate(parts or (b"",), start=1)
    ]
    sent = []

    async def receive():
        return events.pop(0)

    async def send(event):
        sent.append(event)

    scope = {
        "type": kind,
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"a=1&b=",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    asyncio.run(Guard(echo, 4566, check)(scope, receive, send))
    return sent


@pytest.mark.parametrize("host", ["127.0.0.1:4566", "localhost:4566"])
def test_a_signed_request_passes_with_its_whole_body_and_answers_no_page(host):
    seen = []
    sent = run(lambda *given: seen.append(given), {**SIGNED, "host": host}, b"one", b"two")
    assert sent == [
        {"type": "http.response.start", "status": 200, "headers": [(b"x-kept", b"1")]},
        {"type": "http.response.body", "body": b"onetwo"},
    ]
    ((method, path, query, headers, body),) = seen
    assert (method, path, query, body) == ("POST", "/", {"a": ["1"], "b": [""]}, b"onetwo")
    assert headers["host"] == host


@pytest.mark.parametrize("extra", [{"x-amz-content-sha256": "ab"}, None])
def test_a_body_whose_hash_is_signed_is_not_held_back(extra):
    headers = {**SIGNED, **extra} if extra else {"host": "localhost:4566"}
    seen = []
    sent = run(lambda *given: seen.append(given[4]), headers, b"one", b"two")
    assert seen == [b""]
    assert sent[1]["body"] == b"onetwo"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"host": "localhost"},
        {"host": "localhost:4567"},
        {"host": "evil.example:4566"},
        {"host": "x.localhost:4566"},
        {"host": "localhost:4566", "origin": "null"},
        {"host": "localhost:4566", "sec-fetch-site": "same-origin"},
    ],
)
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/_ministack/ready"), ("PUT", "/_ministack/cfn-response/1"), ("POST", "/")]
)
def test_a_page_gets_nothing(headers, method, path):
    assert run(never, headers, method=method, path=path)[0]["status"] == 403


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/_ministack/ready", 200),
        ("PUT", "/_ministack/cfn-response/1", 200),
        ("POST", "/_ministack/ready", 403),
        ("GET", "/_ministack/ready/", 403),
        ("GET", "/_ministack/cfn-response/1", 403),
        ("POST", "/_ministack/reset", 403),
        ("GET", "/", 403),
    ],
)
def test_two_requests_need_no_signature(method, path, status):
    assert run(refuse, {"host": "localhost:4566"}, method=method, path=path)[0]["status"] == status


def test_a_body_without_end_is_refused():
    sent = run(never, SIGNED, *[bytes(30_000_000)] * 4)
    assert sent[0]["status"] == 403
    assert b"larger than" in sent[1]["body"]


def test_a_web_socket_is_closed():
    assert run(never, SIGNED, kind="websocket") == [{"type": "websocket.close", "code": 1008}]


def test_the_life_of_the_engine_is_the_engines():
    assert run(never, {}, kind="lifespan")[0]["status"] == 200
