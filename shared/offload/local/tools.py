"""Finding and checking Python, Node, the CDK and the engine's packages, and installing what is missing."""

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
_SHOWN_LINES = 25
"""Last lines of a failed program's output that an error message shows."""


def check_python(version: tuple[int, int] | None = None) -> None:
    """Check that a Python version is new enough; None means the version of this interpreter.

    Raises:
        LocalError: The version is too old.
    """
    found = version or (sys.version_info.major, sys.version_info.minor)
    if found < OLDEST_PYTHON:
        raise LocalError(f"Python {found[0]}.{found[1]} is too old: install Python 3.11 or later")


def check_node() -> None:
    """Check that Node is installed in a version that the CDK supports.

    Raises:
        LocalError: Node is missing, broken or too old.
    """
    remedy = f"install Node {OLDEST_NODE} or later, which the AWS CDK needs"
    node = shutil.which("node")
    if not node:
        raise LocalError(f"Node is missing (no `node` on PATH): {remedy}")
    try:
        status, lines = processes.run([node, "--version"], ENGINE_REQUIREMENTS.parent, os.environ)
    except OSError as error:
        raise LocalError(f"{node} does not start ({error}): {remedy}") from error
    version = lines[-1].strip() if lines else ""
    major = version.removeprefix("v").split(".")[0]
    if status or not major.isdigit():
        raise LocalError(f"`{node} --version` prints {version or 'nothing'!r}: {remedy}")
    if int(major) < OLDEST_NODE:
        raise LocalError(f"Node {version} is too old: {remedy}")


def cdk(project: Path, progress: Progress) -> Path:
    """Return the path of the project's CDK command line; `npm ci` installs it when it is missing or outdated.

    Raises:
        LocalError: Node is missing or too old, or npm fails.
    """
    check_node()
    command = project / "node_modules" / ".bin" / "cdk"
    if command.exists() and _installed_cdk(project) == _wanted_cdk(project):
        return command
    npm = shutil.which("npm")
    if not npm:
        raise LocalError("npm is missing (no `npm` on PATH): install npm, which is a part of Node")
    with progress.step("installing the AWS CDK") as show_detail:
        run_or_fail("npm ci", [npm, "ci", "--no-audit", "--no-fund"], project, dict(os.environ), show_detail)
    return command


def engine(layout: Layout, progress: Progress) -> Path:
    """Return the engine's interpreter; its virtual environment is created when it is missing or outdated.

    The interpreter has the minor version of the Python that runs this module. Functions run on this interpreter, and
    their bundles contain wheels for it.

    Raises:
        LocalError: Python is too old, or the installation fails.
    """
    check_python()
    lock = layout.engine_venv.with_name(f"{layout.engine_venv.name}.lock")
    with processes.waiting_for(lock):  # such as two tests that each start an engine of their own
        if not _engine_is_installed(layout):
            with progress.step("installing the embedded AWS engine") as show_detail:
                _install_engine(layout, show_detail)
    return layout.engine_python


def run_or_fail(
    title: str, argv: Sequence[str], cwd: Path, env: dict[str, str], on_line: Callable[[str], None] | None
) -> list[str]:
    """Run a program that must succeed, and return the lines that it printed.

    Args:
        title: Name of the program in an error message.
        argv: As in `processes.run`, like the other arguments.
        cwd: The program's working directory.
        env: The program's whole environment.
        on_line: Called with each line that the program prints.

    Raises:
        LocalError: The program failed. The message ends with the last lines that it printed.
    """
    status, lines = processes.run(argv, cwd, env, on_line)
    if status:
        last_lines = "\n".join(f"    {line}" for line in lines[-_SHOWN_LINES:])
        raise LocalError(f"{title} failed with status {status}. The end of its output:\n{last_lines}")
    return lines


def _engine_is_installed(layout: Layout) -> bool:
    """Return whether the engine's environment holds what the requirements name now."""
    stamp = _engine_stamp(layout)
    return (
        stamp.is_file() and stamp.read_text(encoding="utf-8") == _requirements_hash() and layout.engine_python.exists()
    )


def _install_engine(layout: Layout, show_detail: Callable[[str], None]) -> None:
    """Create the engine's environment in place of what is there."""
    if layout.engine_venv.is_symlink():  # to the environment of another copy of the project, which is left alone
        layout.engine_venv.unlink()
    shutil.rmtree(layout.engine_venv, ignore_errors=True)
    for title, argv in _installation_commands(layout):
        run_or_fail(title, argv, layout.project, {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}, show_detail)
    _engine_stamp(layout).write_text(_requirements_hash(), encoding="utf-8")


def _engine_stamp(layout: Layout) -> Path:
    """Return the file that says which requirements the engine's environment was made from."""
    return layout.engine_venv / "installed"


def _requirements_hash() -> str:
    return hashlib.sha256(ENGINE_REQUIREMENTS.read_bytes()).hexdigest()


def _installation_commands(layout: Layout) -> list[tuple[str, list[str]]]:
    """Return the commands that create the engine's environment, with uv if it is installed, else with pip.

    Each file that is installed must have one of the hashes in the requirements.
    """
    venv, python, requirements = str(layout.engine_venv), str(layout.engine_python), str(ENGINE_REQUIREMENTS)
    if importlib.util.find_spec("uv"):
        uv = [sys.executable, "-m", "uv"]
        install = [*uv, "pip", "install", "--require-hashes", "--compile-bytecode", "--python", python]
        install += ["--requirement", requirements]
        return [("uv venv", [*uv, "venv", "--python", sys.executable, venv]), ("uv pip install", install)]
    quiet = ["--disable-pip-version-check", "--quiet", "--require-hashes"]
    return [
        ("python -m venv", [sys.executable, "-m", "venv", venv]),
        ("pip install", [python, "-m", "pip", "install", *quiet, "--requirement", requirements]),
    ]


def _wanted_cdk(project: Path) -> str | None:
    return _version(project / "package-lock.json", lambda lock: lock["packages"]["node_modules/aws-cdk"]["version"])


def _installed_cdk(project: Path) -> str | None:
    return _version(project / "node_modules" / "aws-cdk" / "package.json", lambda package: package["version"])


def _version(file: Path, select: Callable[[dict[str, dict[str, dict[str, str]]]], object]) -> str | None:
    """Return the version that `select` finds in a JSON file; None when the file or the entry is missing."""
    try:
        return str(select(json.loads(file.read_text(encoding="utf-8"))))
    except (OSError, ValueError, KeyError, TypeError):
        return None
