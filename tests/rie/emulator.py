"""The Lambda runtime interface emulator, and functions that run under it.

A function is one emulator process with AWS's own runtime client and, on its path, the bundle and nothing else: what the
archive lacks is missing here as it would be on AWS. An emulator serves one invocation at a time.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

from uv import find_uv_bin

HOME = Path(__file__).resolve().parents[2]
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
_INVOKE = "2015-03-31/functions/function/invocations"
_STARTS_WITHIN = 20.0


def install() -> Path:
    """Install the emulator and the runtime client once per set of pins; returns their folder."""
    key = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode() + platform.machine().encode())
    folder = HOME / ".offload" / "rie" / key.hexdigest()[:16]
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            command = [find_uv_bin(), "pip", "install", "--quiet", "--no-deps", "--no-config", "--only-binary", ":all:"]
            command += ["--require-hashes"]
            command += ["--python", sys.executable, "--target", f"{scratch}/new", "--requirement", str(REQUIREMENTS)]
            tried = subprocess.run(command, capture_output=True, text=True, check=False)
            if tried.returncode:
                raise RuntimeError(f"cannot install the Lambda runtime interface emulator:\n{tried.stderr}")
            shutil.rmtree(Path(scratch, "new", "bin"), ignore_errors=True)
            for program in Path(scratch, "new", "samcli", "local", "rapid").glob("aws-lambda-rie-*"):
                program.chmod(0o755)
            with suppress(OSError):  # another test run was faster
                Path(scratch, "new").rename(folder)
    return folder


class Function:
    """A running function."""

    def __init__(self, installed: Path, bundle: Path, *, timeout: int, variables: dict[str, str], log: Path) -> None:
        """Start it; its code is not loaded before the first invocation."""
        machine = "arm64" if platform.machine().lower() in ("arm64", "aarch64") else "x86_64"
        emulator = installed / "samcli" / "local" / "rapid" / f"aws-lambda-rie-{machine}"
        self._timeout, self.log, self._port, runtime = timeout, log, *_free_ports(2)
        command = [str(emulator), "--runtime-interface-emulator-address", f"127.0.0.1:{self._port}"]
        command += ["--runtime-api-address", f"127.0.0.1:{runtime}"]
        command += [sys.executable, "-S", "-m", "awslambdaric", "offload.runtime.entry.handler"]
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": "/dev/null/nowhere",  # not there and not to be made, by root either
            "PYTHONPATH": f"{bundle}:{installed}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "LAMBDA_TASK_ROOT": str(bundle),
            "AWS_LAMBDA_FUNCTION_NAME": "probe",
            "AWS_LAMBDA_FUNCTION_TIMEOUT": str(timeout),
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
            **variables,
        }
        with log.open("w") as output:
            self._process = subprocess.Popen(
                command, cwd=bundle, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        self._wait_for_port()

    def _wait_for_port(self) -> None:
        end = time.monotonic() + _STARTS_WITHIN
        while time.monotonic() < end and self._process.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self._port), timeout=1):
                return
            time.sleep(0.02)
        self.stop()
        raise RuntimeError(f"the emulator did not start:\n{self.log.read_text()}")

    def invoke(self, event: dict[str, Any]) -> Any:
        """Invoke it and return its answer: a batch response, an error's object, or a text that says it timed out."""
        url = f"http://127.0.0.1:{self._port}/{_INVOKE}"
        request = urllib.request.Request(url, json.dumps(event).encode())
        try:
            with urllib.request.urlopen(request, timeout=self._timeout + 20) as answer:
                text = answer.read().decode()
        except urllib.error.HTTPError as refusal:  # a function that did not come up is answered with a 502
            with refusal:
                text = refusal.read().decode()
        try:
            return json.loads(text)
        except ValueError:
            return text

    def logged(self) -> list[dict[str, Any]]:
        """Return the lines it logged as JSON."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    def stop(self) -> None:
        """End it; it takes its runtime along."""
        self._process.terminate()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports
