"""Answering boto3's requests to S3 in this process, for tests: no request to S3 leaves it.

botocore sends every request of every client by one method, `URLLib3Session.send`. While requests are intercepted, this
method hands those to S3 to a function; the requests to other services go their way. So clients that were made before
are intercepted too.
"""

from __future__ import annotations

import io
import re
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_S3_HOST = re.compile(r"(?:(?P<bucket>.+)\.)?s3[.-](?:[a-z0-9-]+\.)*?amazonaws\.[a-z.]+")
_SIGNED_FOR_S3 = "/s3/aws4_request"
"""In the header `Authorization`, for S3 at any host, such as that of `AWS_ENDPOINT_URL`."""


class RestRequest(NamedTuple):
    """A request to S3: names of `query` and `headers` in lower case; `key` is empty for a request to the bucket."""

    method: str
    bucket: str
    key: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


_MARK = "intercepts_for_offload"
_answers: list[Callable[[RestRequest], tuple[int, Mapping[str, str], bytes]]] = []


class _Raw(io.BytesIO):
    """A body as botocore reads it from urllib3."""

    def stream(self, amount: int = 2**16, **_options: Any) -> Iterator[bytes]:
        while piece := self.read(amount):
            yield piece


@contextmanager
def s3_answered(answer: Callable[[RestRequest], tuple[int, Mapping[str, str], bytes]]) -> Iterator[None]:
    """Have boto3's requests to S3 answered by a function in the block; of blocks that overlap, by that of the last one.

    Args:
        answer: Is given a request; returns status, headers and body.
    """
    from botocore.httpsession import URLLib3Session

    where: Any = URLLib3Session
    if not _answers and not hasattr(where.send, _MARK):
        where.send = _intercepting(where.send)
    _answers.append(answer)
    try:
        yield
    finally:
        _answers.remove(answer)
        if not _answers and hasattr(where.send, _MARK):  # else somebody has wrapped it, and goes on without answers
            where.send = where.send.__wrapped__


def _intercepting(send: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    from botocore.awsrequest import AWSResponse, HeadersDict

    @wraps(send)
    def intercept(session: Any, request: Any) -> Any:
        found = _read(request) if _answers else None
        if found is None:
            return send(session, request)
        status, headers, body = _answers[-1](found)
        headers_of_any_case: Any = HeadersDict(headers)
        return AWSResponse(request.url, status, headers_of_any_case, _Raw(body))

    setattr(intercept, _MARK, True)
    return intercept


def _read(request: Any) -> RestRequest | None:
    """Read a prepared request of botocore; None when it is not one to S3."""
    url = urlsplit(request.url)
    host = _S3_HOST.fullmatch(url.hostname or "")
    headers = {name.lower(): _text(value) for name, value in request.headers.items()}
    if host is None and _SIGNED_FOR_S3 not in headers.get("authorization", ""):
        return None
    path = unquote(url.path).removeprefix("/")
    bucket, key = (host["bucket"] if host else None) or "", path
    if not bucket:
        bucket, _, key = path.partition("/")
    query = {name.lower(): value for name, value in parse_qsl(url.query, keep_blank_values=True)}
    return RestRequest(request.method, bucket, key, query, headers, _bytes(request.body))


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _bytes(body: Any) -> bytes:
    if body is None:
        return b""
    if hasattr(body, "read"):
        data: bytes = body.read()
        return data
    return body.encode() if isinstance(body, str) else bytes(body)
