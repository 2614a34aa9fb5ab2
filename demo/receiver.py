"""A webhook receiver on loopback that is too busy at first: it shows a retry that succeeds."""

from __future__ import annotations

import contextlib
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from offload.local.environment import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Iterator

BUSY_FOR = 1
"""Deliveries of a job that are turned away, with `Retry-After: 1`, before one is taken."""


@contextlib.contextmanager
def receiving() -> Iterator[str]:
    """Take webhooks while the block runs; yields the receiver's URL."""
    seen: dict[str, int] = {}
    lock = threading.Lock()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            job = self.headers.get("Idempotency-Key", "")
            with lock:
                seen[job] = seen.get(job, 0) + 1
                busy = seen[job] <= BUSY_FOR
            self.send_response(HTTPStatus.SERVICE_UNAVAILABLE if busy else HTTPStatus.NO_CONTENT)
            if busy:
                self.send_header("Retry-After", "1")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
            """Say nothing: the demo shows the jobs."""

    with ThreadingHTTPServer((LOOPBACK, 0), Receiver) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield f"http://{LOOPBACK}:{server.server_address[1]}/hooks"
        finally:
            server.shutdown()
            thread.join()
