"""A web app as programs write them: one client at module level, which every process and thread uses.

`/plain?TOKEN` and `/async?TOKEN` enqueue a job, wait for it and answer with its result, after the process's id.

The server loads this module before it forks, and the client is used here already. So each process is forked with what a
client that was used has open: connections, and a thread that waits for jobs.
"""

from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING, Any

from offload import Client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

PATIENCE = 600

client = Client.from_stack()


async def ask(token: str) -> str:
    """Answer in `async` code. Each request has an event loop of its own, and all share the client's thread."""
    job = await client.aenqueue("echo", {"token": token})
    return str(await job.aresult(PATIENCE))


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer one request."""
    token = environ["QUERY_STRING"]
    if environ["PATH_INFO"] == "/async":
        result = asyncio.run(ask(token))
    else:
        result = client.enqueue("echo", {"token": token}).result(PATIENCE)
    body = f"{os.getpid()} {result}".encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


assert client.enqueue("echo", {"token": "before the fork"}).result(PATIENCE) == "before the fork"
threading.Thread(target=lambda: asyncio.run(ask("across the fork")), daemon=True).start()
