"""Python, Node, the CDK and the engine's own packages: found, checked, and installed when missing."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import sys
from typing import TYPE_CHECKING

from offload.local import processes
from offload.local.errors import LocalError
from offload.local.layout import ENGINE_REQUIREMENTS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from offload.local.layout import Layout
    from offload.local.progress import Progress

OLDEST_PYTHON = (3, 11)
OLDEST_NODE = 20
_LAST_WORDS = 25


def check_python(version: tuple[int, int] | None = None) -> None:
    """Refuse a Python that is too old.

    Raises:
        LocalError: It is.
    """
    found = version or (sys.version_info.major, sys.version_info.minor)
    if found < OLDEST_PYTHON:
        raise LocalError(f"Python {found[0]}.{found[1]} is too old: install Python 3.11 or later")


def check_node() -> None:
    """Refuse to go on without a Node that the CDK runs on.

    Raises:
        LocalError: It is missing, broken or too old.
    """
    remedy = f"install Node {OLDEST_NODE} or later, the AWS CDK runs on it"
    node = shutil.which("node")
    if not node:
        raise LocalError(f"Node is missing (no `node` on PATH): {remedy}")
    try:
        status, lines = processes.run([node, "--version"], _anywhere(), os.environ)
    except OSError as error:
        raise LocalError(f"{node} does not start ({error}): {remedy}") from error
    version = lines[-1].strip() if lines else ""
    major = version.removeprefix("v").split(".")[0]
    if status or not major.isdigit():
        raise LocalError(f"`{node} --version` says {version or 'nothing'!r}: {remedy}")
    if int(major) < OLDEST_NODE:
        raise LocalError(f"Node {version} is too old: {remedy}")


def cdk(project: Path, progress: Progress) -> Path:
    """Return the CDK command line of this project, installed by `npm ci` when missing or of another version.

    Raises:
        LocalError: Node is missing or too old, or npm fails.
    """
    check_node()
    command = project / "node_modules" / ".bin" / "cdk"
    if command.exists() and _installed_cdk(project) == _wanted_cdk(project):
        return command
    npm = shutil.which("npm")
    if not npm:
        raise LocalError("npm is missing (no `npm` on PATH): install it, it comes with Node")
    with progress.step("installing the AWS CDK") as detail:
        insist("npm ci", [npm, "ci", "--no-audit", "--no-fund"], project, dict(os.environ), detail)
    return command


def engine(layout: Layout, progress: Progress) -> Path:
    """Return the engine's interpreter, in a virtual environment made for it when missing or out of date.

    It has the same minor version as the Python running this: functions run on it, and their bundles hold wheels for it.

    Raises:
        LocalError: Python is too old, or the installation fails.
    """
    check_python()
    stamp = layout.engine_venv / "installed"
    wanted = hashlib.sha256(ENGINE_REQUIREMENTS.read_bytes()).hexdigest()
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted and layout.engine_python.exists():
        return layout.engine_python
    with progress.step("installing the embedded AWS engine") as detail:
        shutil.rmtree(layout.engine_venv, ignore_errors=True)
        for title, argv in _installation(layout):
            insist(title, argv, layout.project, {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}, detail)
        stamp.write_text(wanted, encoding="utf-8")
    return layout.engine_python


def insist(
    title: str, argv: Sequence[str], cwd: Path, env: dict[str, str], on_line: Callable[[str], None] | None
) -> list[str]:
    """Run a program that must succeed, and return what it printed.

    Raises:
        LocalError: It did not; the message ends with the last lines it printed.
    """
    status, lines = processes.run(argv, cwd, env, on_line)
    if status:
        told = "\n".join(f"    {line}" for line in lines[-_LAST_WORDS:])
        raise LocalError(f"{title} failed with status {status}. It said:\n{told}")
    return lines


def _installation(layout: Layout) -> list[tuple[str, list[str]]]:
    """List the commands that make the engine's environment: by uv where there is one, else by pip."""
    venv, python, wanted = str(layout.engine_venv), str(layout.engine_python), str(ENGINE_REQUIREMENTS)
    if importlib.util.find_spec("uv"):
        uv = [sys.executable, "-m", "uv"]
        install = [*uv, "pip", "install", "--compile-bytecode", "--python", python, "--requirement", wanted]
        return [("uv venv", [*uv, "venv", "--python", sys.executable, venv]), ("uv pip install", install)]
    quietly = ["--disable-pip-version-check", "--quiet"]
    return [
        ("python -m venv", [sys.executable, "-m", "venv", venv]),
        ("pip install", [python, "-m", "pip", "install", *quietly, "--requirement", wanted]),
    ]


def _wanted_cdk(project: Path) -> str | None:
    return _version(project / "package-lock.json", lambda lock: lock["packages"]["node_modules/aws-cdk"]["version"])


def _installed_cdk(project: Path) -> str | None:
    return _version(project / "node_modules" / "aws-cdk" / "package.json", lambda package: package["version"])


def _version(file: Path, pick: Callable[[dict[str, dict[str, dict[str, str]]]], object]) -> str | None:
    try:
        return str(pick(json.loads(file.read_text(encoding="utf-8"))))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _anywhere() -> Path:
    return ENGINE_REQUIREMENTS.parent
