"""The AWS that both handlers talk to: moto on loopback, in a process of its own, with a ledger of calls and units.

Run as `python -m benchmarks.endpoint`; it prints its port. `GET /ledger` returns what was counted since the last time.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

from moto.core import DEFAULT_ACCOUNT_ID
from moto.dynamodb.models import dynamodb_backends
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

REGION = "us-east-1"
_UNIT = 1024
_WRITES = ("PutItem", "UpdateItem", "DeleteItem")


class Ledger:
    """Counts calls by operation, and the write units DynamoDB would bill."""

    def __init__(self, serve: Callable[..., Iterable[bytes]]) -> None:
        self._serve, self._lock = serve, threading.Lock()
        self._counts: Counter[str] = Counter()

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/ledger":
            with self._lock:
                body, self._counts = json.dumps(self._counts).encode(), Counter()
            start("200 OK", [("content-length", str(len(body)))])
            return [body]
        operation = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
        written = self._write(environ) if operation in _WRITES else None
        size = _stored(written) if written else 0
        answer = self._serve(environ, start)
        with self._lock:
            self._counts[operation] += 1
            if written:
                # By the larger of the item before and after; a failed condition bills the item it looked at.
                self._counts["write units"] += max(1, -(-max(size, _stored(written)) // _UNIT))
        return answer

    @staticmethod
    def _write(environ: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        import io

        raw = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        environ["wsgi.input"] = io.BytesIO(raw)
        request = json.loads(raw)
        return request["TableName"], request.get("Key") or {"id": request["Item"]["id"]}


def _stored(written: tuple[str, dict[str, Any]]) -> int:
    table, key = written
    item = dynamodb_backends[DEFAULT_ACCOUNT_ID][REGION].get_item(table, key)
    return sum(len(name.encode()) + _size(value) for name, value in item.to_json()["Attributes"].items()) if item else 0


def _size(attribute: dict[str, Any]) -> int:
    """Return the bytes of a value: "DynamoDB item sizes and formats" in the DynamoDB developer guide."""
    ((kind, value),) = attribute.items()
    if kind == "S":
        return len(value.encode())
    if kind == "N":
        return -(-len(value.strip("-").replace(".", "").strip("0")) // 2) + 1 + value.startswith("-")
    if kind == "L":
        return 3 + sum(1 + _size(entry) for entry in value)
    if kind == "M":
        return 3 + sum(1 + len(name.encode()) + _size(entry) for name, entry in value.items())
    return 1  # NULL and BOOL; nothing here writes sets or binary values


class _Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"  # both sides keep their connections, as they do with AWS
    disable_nagle_algorithm = True

    def send_header(self, keyword: str, value: str) -> None:
        if (keyword.lower(), value) != ("connection", "close"):  # werkzeug's own; moto says none
            super().send_header(keyword, value)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


def main() -> None:
    """Serve until killed."""
    server = make_server(
        "127.0.0.1", 0, Ledger(DomainDispatcherApplication(create_backend_app)), threaded=True, request_handler=_Handler
    )
    server.daemon_threads = True
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
