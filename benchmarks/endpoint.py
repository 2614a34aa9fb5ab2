"""The AWS that both handlers talk to: moto on loopback, in a process of its own, with a ledger of calls and units.

Run as `python -m benchmarks.endpoint`; it prints its port. `GET /ledger` returns what was counted since the last time.
Connections stay open between requests, as AWS's do; the servers that moto and werkzeug bring close each one.
"""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from moto.core import DEFAULT_ACCOUNT_ID
from moto.dynamodb.models import dynamodb_backends
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.test import Client

REGION = "us-east-1"
_UNIT = 1024
_INSERT = re.compile(r'INSERT INTO "([^"]+)" VALUE \{(.*)\}')
_FIELD = re.compile(r"'([^']+)': \?")
_WRITES = ("PutItem", "UpdateItem", "DeleteItem")

_aws = DomainDispatcherApplication(create_backend_app)
_counts: Counter[str] = Counter()
_lock = threading.Lock()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body in one packet

    def do_GET(self) -> None:
        with _lock:
            body = json.dumps(_counts).encode()
            _counts.clear()
        self._answer(200, {}, body)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        operation = self.headers.get("x-amz-target", "").rpartition(".")[2]
        if operation == "BatchExecuteStatement":
            self._answer(200, {"content-type": "application/x-amz-json-1.0"}, self._insert_many(body))
            return
        key = _key(body) if operation in _WRITES else None
        before = _stored(key)
        # Counted at the end, with the ledger shut to others meanwhile: a write and its size belong together.
        with _lock:
            answer = Client(_aws).post(self.path, data=body, headers=list(self.headers.items()))
            _counts[operation] += 1
            if key is not None:
                # By the larger of the item before and after; a failed condition bills the item it looked at.
                _counts["write units"] += max(1, -(-max(before, _stored(key)) // _UNIT))
        self._answer(answer.status_code, dict(answer.headers), answer.data)

    def _insert_many(self, body: bytes) -> bytes:
        """Carry out a batch of inserts as puts: moto's reader of PartiQL takes no parameters in an `INSERT`."""
        responses: list[dict[str, Any]] = []
        with _lock:
            _counts["BatchExecuteStatement"] += 1
            for statement in json.loads(body)["Statements"]:
                inserted = _INSERT.fullmatch(statement["Statement"])
                assert inserted is not None, f"the benchmark knows no other statement than INSERT: {statement}"
                item = dict(zip(_FIELD.findall(inserted[2]), statement["Parameters"], strict=True))
                put = {"TableName": inserted[1], "Item": item, "ConditionExpression": "attribute_not_exists(id)"}
                own = {"x-amz-target": "DynamoDB_20120810.PutItem", "content-length": None}
                headers = {name: value for name, value in self.headers.items() if name.lower() not in own}
                headers["x-amz-target"] = own["x-amz-target"]
                status = Client(_aws).post("/", data=json.dumps(put), headers=headers).status_code
                failed = {"Code": "DuplicateItem", "Message": "Duplicate primary key exists in table"}
                responses.append({"TableName": inserted[1]} if status == 200 else {"Error": failed})
                _counts["write units"] += max(1, -(-_stored((inserted[1], {"id": item["id"]})) // _UNIT))
        return json.dumps({"Responses": responses}).encode()

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("connection", "content-length", "date", "server", "transfer-encoding"):
                self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, *_: Any) -> None:
        pass


def _key(body: bytes) -> tuple[str, dict[str, Any]]:
    request = json.loads(body)
    return request["TableName"], request.get("Key") or {"id": request["Item"]["id"]}


def _stored(key: tuple[str, dict[str, Any]] | None) -> int:
    """Return the bytes of an item as it lies in its table; 0 when there is none."""
    item = dynamodb_backends[DEFAULT_ACCOUNT_ID][REGION].get_item(*key) if key else None
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


def main() -> None:
    """Serve until killed."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
