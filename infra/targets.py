"""The machine that functions run on: its Python, its processor, and the wheels that fit it."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from offload.core.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from infra.stages import Stage

FALLBACK = "3.13"
"""Python version on AWS when Lambda does not offer the version of this interpreter."""

_GLIBC_2_34 = "aarch64-manylinux_2_34"
_PLATFORMS = {
    # Amazon Linux 2 has glibc 2.26. Wheels are built for 2.17 or for 2.28, and several packages only for 2.28.
    "3.11": "aarch64-manylinux_2_17",
    # Amazon Linux 2023 has glibc 2.34.
    "3.12": _GLIBC_2_34,
    "3.13": _GLIBC_2_34,
    "3.14": _GLIBC_2_34,
}
_VERSION_SCRIPT = "import sys, importlib.util as u; print('%d.%d' % sys.version_info[:2], u.MAGIC_NUMBER.hex())"


@dataclass(frozen=True, slots=True)
class Target:
    """The machine that a bundle is built for.

    Attributes:
        python: Python version, such as `3.13`.
        machine: `arm64` or `x86_64`.
        wheels: uv's name of the platform; None means this machine.
        has_sdk: True when the machine has boto3 already.
        interpreter: An interpreter of this version on this machine, which compiles the bytecode; None when there is
            none.
        bytecode: Magic number of the interpreter's bytecode, in hexadecimal; empty without an interpreter.
    """

    python: str
    machine: str
    wheels: str | None
    has_sdk: bool
    interpreter: str | None
    bytecode: str

    @property
    def tag(self) -> str:
        """A short name for folders, such as `py3.13-arm64`."""
        return f"py{self.python}-{self.machine}{'' if self.wheels else '-host'}"


def choose(stage: Stage) -> Target:
    """Choose the target of a stage.

    A local stage uses the version of this interpreter, because the embedded engine runs functions on the same version.

    On AWS the processor is arm64, which costs a fifth less for the same work. `-c python=VERSION` sets the Python
    version. By default functions run on the version of this interpreter, because they were tested on it. Python 3.11 is
    never the default: Lambda runs 3.11 on Amazon Linux 2, whose glibc is too old for current wheels of some packages,
    such as Pillow.

    Raises:
        DefinitionError: Lambda does not offer this Python version.
    """
    own_version = f"{sys.version_info.major}.{sys.version_info.minor}"
    if stage.on_host:
        machine = "arm64" if platform.machine().lower() in ("arm64", "aarch64") else "x86_64"
        bytecode = _version_and_bytecode(sys.executable)[1]
        return Target(own_version, machine, None, has_sdk=False, interpreter=sys.executable, bytecode=bytecode)
    python = stage.python or (own_version if own_version in _PLATFORMS and own_version != "3.11" else FALLBACK)
    if python not in _PLATFORMS:
        raise DefinitionError(f"python={python!r}: Lambda has {', '.join(_PLATFORMS)}")
    interpreter, bytecode = _find_interpreter(python)
    return Target(python, "arm64", _PLATFORMS[python], has_sdk=True, interpreter=interpreter, bytecode=bytecode)


def _find_interpreter(python: str) -> tuple[str | None, str]:
    """Return an interpreter of a version and the magic number of its bytecode; None and an empty text without one."""
    for candidate in _candidates(python):
        # Every candidate is run, because a pyenv shim can be on the path without an interpreter behind it.
        version, bytecode = _version_and_bytecode(candidate)
        if version == python:
            return candidate, bytecode
    return None, ""


def _candidates(python: str) -> Iterator[str]:
    """Yield this interpreter, the one on the path, and those that pyenv and uv have installed."""
    yield sys.executable
    found = shutil.which(f"python{python}")
    if found:
        yield found
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    uv = Path(os.environ.get("UV_PYTHON_INSTALL_DIR", Path.home() / ".local/share/uv/python"))
    for folder, pattern in ((pyenv, f"{python}.*"), (uv, f"cpython-{python}.*")):
        for home in sorted(folder.glob(pattern), reverse=True):
            yield str(home / "bin" / "python3")


def _version_and_bytecode(interpreter: str) -> tuple[str, str]:
    """Run an interpreter and return its version and the magic number of its bytecode; empty texts when it fails."""
    command = [interpreter, "-I", "-c", _VERSION_SCRIPT]
    try:
        answer = subprocess.run(  # noqa: S603 - an interpreter of this machine runs a fixed line of code
            command, capture_output=True, text=True, check=True, timeout=30
        )
    except (OSError, subprocess.SubprocessError):
        return "", ""
    version, _, bytecode = answer.stdout.strip().partition(" ")
    return version, bytecode
