"""S3's REST interface over the bucket in memory, as far as tasks commonly use it.

Objects can be put, read (whole or in part), looked at, deleted and listed. Everything else is answered with an error
that says so: a test must not pass because the twin has guessed.
"""

from __future__ import annotations

import base64
import hashlib
import re
from email.utils import formatdate
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from offload.core.clock import iso

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from offload.memory.blobs import MemoryBlobs, StoredBlob

_MOST_KEYS = 1_000
"""Keys that one page of a list has at most."""

_KEPT = ("content-type", "content-disposition", "content-language", "cache-control", "expires", "content-encoding")
_IGNORED = frozenset({"x-id", "list-type", "prefix", "delimiter", "max-keys", "start-after", "continuation-token",
                      "encoding-type", "fetch-owner", "delete"})  # fmt: skip
_UNSUPPORTED = ("x-amz-copy-source", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since")
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class S3Request(NamedTuple):
    """A request to S3. The names of `query` and of `headers` are in lower case; `key` is empty for the bucket."""

    method: str
    bucket: str
    key: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


class S3Answer(NamedTuple):
    """An answer of S3."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


class MemoryS3:
    """S3 with one bucket: that of the stack."""

    def __init__(self, blobs: MemoryBlobs) -> None:
        """Serve the objects of `blobs`."""
        self._blobs = blobs

    def answer(self, request: S3Request) -> S3Answer:
        """Carry out a request."""
        if request.bucket != self._blobs.bucket:
            here = f"there is only {self._blobs.bucket!r}, the bucket of the stack"
            return _error(404, "NoSuchBucket", f"bucket {request.bucket!r} does not exist here: {here}")
        unknown = [name for name in request.query if name not in _IGNORED]
        unknown += [name for name in _UNSUPPORTED if name in request.headers]
        if unknown:
            return _not_there(request, f" with {', '.join(unknown)}")
        return self._of_object(request) if request.key else self._of_bucket(request)

    def _of_object(self, request: S3Request) -> S3Answer:
        match request.method:
            case "PUT":
                return self._put(request)
            case "GET" | "HEAD":
                return self._get(request)
            case "DELETE":
                self._blobs.delete(request.key)
                return S3Answer(204, {})
        return _not_there(request)

    def _of_bucket(self, request: S3Request) -> S3Answer:
        if request.method == "GET" and request.query.get("list-type") == "2":
            return self._list(request.query)
        if request.method == "POST" and "delete" in request.query:
            return self._delete_many(request.body)
        return S3Answer(200, {}) if request.method == "HEAD" else _not_there(request)

    def _put(self, request: S3Request) -> S3Answer:
        headers = {name: value for name, value in request.headers.items() if name in _KEPT or _is_metadata(name)}
        data = request.body
        if "aws-chunked" in headers.get("content-encoding", ""):
            data = b"".join(_chunks(data))
            rest = headers["content-encoding"].replace("aws-chunked", "").strip(", ")
            headers = {**headers, "content-encoding": rest}
            if not rest:
                del headers["content-encoding"]
        self._blobs.store(request.key, data, headers)
        return S3Answer(200, {"etag": _etag(data)})

    def _get(self, request: S3Request) -> S3Answer:
        blob = self._blobs.find(request.key)
        if blob is None:
            return _error(
                404, "NoSuchKey", f"the bucket has no object {request.key!r}", with_body=request.method == "GET"
            )
        headers = {
            "content-type": "binary/octet-stream",
            **blob.headers,
            "etag": _etag(blob.data),
            "last-modified": formatdate(blob.stored_at / 1000, usegmt=True),
            "accept-ranges": "bytes",
        }
        status, data = 200, blob.data
        if "range" in request.headers:
            part = _part(request.headers["range"], len(data))
            if part is None:
                return _error(416, "InvalidRange", f"{request.key!r} has {len(data)} bytes")
            status, data = 206, data[part.start : part.stop]
            headers["content-range"] = f"bytes {part.start}-{part.stop - 1}/{len(blob.data)}"
        headers["content-length"] = str(len(data))
        return S3Answer(status, headers, data if request.method == "GET" else b"")

    def _list(self, query: Mapping[str, str]) -> S3Answer:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        most = min(int(query.get("max-keys", _MOST_KEYS)), _MOST_KEYS)
        token = query.get("continuation-token")
        after = base64.urlsafe_b64decode(token).decode() if token else query.get("start-after", "")
        names: dict[str, StoredBlob | None] = {}  # a folder has no object
        for key, blob in self._blobs:
            rest = key.removeprefix(prefix)
            is_folder = bool(delimiter) and delimiter in rest
            name = prefix + rest.partition(delimiter)[0] + delimiter if is_folder else key
            if key.startswith(prefix) and name.encode() > after.encode():
                names[name] = None if is_folder else blob
        shown = list(names)[:most]
        more = len(names) > len(shown)
        texts = {name: quote(name, safe="/") if query.get("encoding-type") == "url" else escape(name) for name in shown}
        parts = [f"<Name>{self._blobs.bucket}</Name><KeyCount>{len(shown)}</KeyCount><MaxKeys>{most}</MaxKeys>"]
        parts.append(f"<IsTruncated>{str(more).lower()}</IsTruncated>")
        if query.get("encoding-type") == "url":
            parts.append("<EncodingType>url</EncodingType>")
        if more and shown:
            next_token = base64.urlsafe_b64encode(shown[-1].encode()).decode()
            parts.append(f"<NextContinuationToken>{next_token}</NextContinuationToken>")
        for name in shown:
            found = names[name]
            if found is None:
                parts.append(f"<CommonPrefixes><Prefix>{texts[name]}</Prefix></CommonPrefixes>")
                continue
            parts.append(
                f"<Contents><Key>{texts[name]}</Key><LastModified>{iso(found.stored_at)}</LastModified>"
                f"<ETag>{escape(_etag(found.data))}</ETag><Size>{len(found.data)}</Size>"
                "<StorageClass>STANDARD</StorageClass></Contents>"
            )
        return _xml(200, "ListBucketResult", "".join(parts))

    def _delete_many(self, body: bytes) -> S3Answer:
        keys = [element.text or "" for element in ET.fromstring(body).iter() if element.tag.rpartition("}")[2] == "Key"]  # noqa: S314 - boto3 wrote it, in this process
        for key in keys:
            self._blobs.delete(key)
        return _xml(200, "DeleteResult", "".join(f"<Deleted><Key>{escape(key)}</Key></Deleted>" for key in keys))


def _is_metadata(name: str) -> bool:
    return name.startswith("x-amz-meta-")


def _chunks(body: bytes) -> Iterator[bytes]:
    """Yield the chunks of a body in the encoding `aws-chunked`: size in hexadecimal, data; at the end a checksum."""
    start = 0
    while True:
        end = body.index(b"\r\n", start)
        size = int(body[start:end].partition(b";")[0], 16)
        if size == 0:
            return
        yield body[end + 2 : end + 2 + size]
        start = end + 2 + size + 2


def _etag(data: bytes) -> str:
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'


def _part(header: str, size: int) -> range | None:
    """Return the bytes that a `Range` header asks for; None when there are no such bytes."""
    found = _RANGE.fullmatch(header)
    if found is None or found.group(0) == "bytes=-":
        return None
    first, last = found.groups()
    if not first:
        part = range(max(0, size - int(last)), size)
    else:
        part = range(int(first), min(size, int(last) + 1) if last else size)
    return part or None


def _not_there(request: S3Request, details: str = "") -> S3Answer:
    what = f"{request.method} of {'an object' if request.key else 'the bucket'}{details}"
    can = "it puts, reads, looks at, deletes and lists objects (ListObjectsV2)"
    return _error(501, "NotImplemented", f"the bucket in memory does not know {what}: {can}")


def _error(status: int, code: str, message: str, *, with_body: bool = True) -> S3Answer:
    if not with_body:
        return S3Answer(status, {})
    return _xml(status, "Error", f"<Code>{code}</Code><Message>{escape(message)}</Message>")


def _xml(status: int, root: str, content: str) -> S3Answer:
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<{root}>{content}</{root}>'
    return S3Answer(status, {"content-type": "application/xml"}, text.encode())
