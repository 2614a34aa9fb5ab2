"""A preloading web server with an app that enqueues jobs, and many requests to it at once."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).parents[2]
_STARTS_WITHIN = 120


@dataclass(slots=True)
class Answers:
    """What came of the requests.

    Attributes:
        wrong: The token of each request that got something else than its own job's result, and what it got.
        failed: The token of each request that got no answer, and why.
        seconds: How long each request took.
        processes: The processes that answered.
        took: Seconds from the first request to the last answer.
    """

    wrong: list[tuple[str, str]] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    processes: set[int] = field(default_factory=set)
    took: float = 0.0

    def describe(self) -> str:
        """Return the figures in one line."""
        ordered = sorted(self.seconds) or [0.0]
        middle, late = ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)]
        return (
            f"requests={len(self.seconds)} processes={len(self.processes)} failed={len(self.failed)} "
            f"wrong={len(self.wrong)} in {self.took:.1f} s ({len(self.seconds) / max(self.took, 0.001):.0f}/s; "
            f"median {middle:.1f} s, 99 % within {late:.1f} s)"
        )


@contextmanager
def serving(log: Path, *, workers: int, threads: int) -> Iterator[int]:
    """Run gunicorn with `--preload`; the value is its port on loopback.

    Args:
        log: File for what the server says.
        workers: Processes.
        threads: Threads of each.
    """
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as listening:
        command = [sys.executable, "-m", "gunicorn", "--preload", "--workers", str(workers), "--threads", str(threads)]
        command += ["--bind", f"fd://{listening.fileno()}", "--backlog", "4096", "--timeout", "900"]
        command += ["--keep-alive", "0", "--no-control-socket", "tests.soak.web_app:app"]
        paths = os.pathsep.join([str(ROOT / "shared"), str(ROOT)])
        with log.open("wb") as output:
            server = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": paths},
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=[listening.fileno()],
            )
        try:
            _wait_for(server, log, workers)
            yield listening.getsockname()[1]
        finally:
            server.send_signal(signal.SIGTERM)
            try:
                server.wait(60)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _wait_for(server: subprocess.Popen[bytes], log: Path, workers: int) -> None:
    deadline = time.monotonic() + _STARTS_WITHIN
    while log.read_text().count("Booting worker") < workers:
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the web server did not start:\n{log.read_text()[-3000:]}")
        time.sleep(0.1)


def ask_at_once(port: int, tokens: Sequence[str]) -> Answers:
    """Send a request for each token, all at the same time; every second one is answered by `async` code."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, len(tokens) * 2 + 100)), hard))
    answers = Answers()

    async def ask_all() -> None:
        await asyncio.gather(*(_ask(port, index, token, answers) for index, token in enumerate(tokens)))

    began = time.monotonic()
    asyncio.run(ask_all())
    answers.took = time.monotonic() - began
    return answers


async def _ask(port: int, index: int, token: str, answers: Answers) -> None:
    began = time.monotonic()
    path = ("/plain", "/async")[index % 2]
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET {path}?{token} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
        writer.close()
    except OSError as error:
        answers.failed.append((token, repr(error)))
        return
    answers.seconds.append(time.monotonic() - began)
    if not head.startswith("HTTP/1.1 200"):
        answers.failed.append((token, head.partition("\r\n")[0] or "no answer"))
        return
    process, _, result = body.partition(" ")
    answers.processes.add(int(process))
    if result != token:
        answers.wrong.append((token, result))
