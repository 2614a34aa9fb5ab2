"""The processes of a run: the endpoint, and a handler inside its bundle."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import HOME

if TYPE_CHECKING:
    from collections.abc import Iterator

REGION = "us-east-1"
ACCOUNT = "123456789012"
_DRIVER = Path(__file__).with_name("driver.py")


def environment(**given: str) -> dict[str, str]:
    """Return an environment in which nothing of this process's own is left."""
    return {
        "PATH": os.environ["PATH"],
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_LAMBDA_FUNCTION_NAME": "bench",
        "PYTHONDONTWRITEBYTECODE": "1",
        **given,
    }


@dataclass(frozen=True)
class Side:
    """One of the two handlers.

    Attributes:
        name: `Offload` or `stock handler`.
        bundle: Folder of its bundle, and its working directory.
        module: Where `handler` is.
        variables: Its environment.
    """

    name: str
    bundle: Path
    module: str
    variables: dict[str, str]

    def import_cpu(self) -> float:
        """Return the user and system milliseconds of a fresh process that imports the handler and ends."""
        # Without `site`, so that the bundle is all there is on the path beside the standard library.
        process = subprocess.Popen(
            [sys.executable, "-S", "-c", f"import {self.module}"], cwd=self.bundle, env=environment(**self.variables)
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{self.name}: the handler does not import (see above)")
        return (used.ru_utime + used.ru_stime) * 1000

    @contextmanager
    def running(self) -> Iterator[Handler]:
        """Start the handler in a process of its own."""
        command = [sys.executable, "-S", "-P", str(_DRIVER), self.module]  # -P: nor is the driver's folder on the path
        variables = environment(**self.variables, PYTHONPATH=str(self.bundle))
        with subprocess.Popen(
            command, cwd=self.bundle, env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            yield Handler(self.name, process)
            assert process.stdin is not None
            process.stdin.close()


class Handler:
    """A handler that runs."""

    def __init__(self, name: str, process: subprocess.Popen[str]) -> None:
        self._name, self._process = name, process

    def handle(self, event: dict[str, Any]) -> float:
        """Hand it a batch; returns the milliseconds of processor time it took. Every job must succeed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(event) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self._name}: the handler died (see above)")
        answer = json.loads(line)
        if answer["response"] != {"batchItemFailures": []}:
            raise SystemExit(f"{self._name}: {answer['response']} where every job should succeed")
        return float(answer["cpu"]) * 1000


class Endpoint:
    """The AWS on loopback."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ledger(self) -> dict[str, int]:
        """Return what was counted since the last time."""
        with urllib.request.urlopen(f"{self.url}/ledger", timeout=30) as answer:
            counted: dict[str, int] = json.load(answer)
            return counted


@contextmanager
def endpoint() -> Iterator[Endpoint]:
    """Start the endpoint."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.endpoint"], cwd=HOME, stdout=subprocess.PIPE, stderr=None, text=True
    )
    try:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        if not port:
            raise SystemExit("the endpoint did not start (see above)")
        yield Endpoint(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.communicate(timeout=30)
