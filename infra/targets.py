"""The machine a function runs on: its Python, its processor, and which wheels fit it."""

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
"""Python on AWS when the interpreter at hand is not one of Lambda's."""

_GLIBC_2_34 = "aarch64-manylinux_2_34"
_PLATFORMS = {
    # Amazon Linux 2: glibc 2.26. Wheels have no step between 2.17 and 2.28, and several packages build for 2.28 only.
    "3.11": "aarch64-manylinux_2_17",
    # Amazon Linux 2023: glibc 2.34.
    "3.12": _GLIBC_2_34,
    "3.13": _GLIBC_2_34,
    "3.14": _GLIBC_2_34,
}
_TELL = "import sys, importlib.util as u; print('%d.%d' % sys.version_info[:2], u.MAGIC_NUMBER.hex())"


@dataclass(frozen=True, slots=True)
class Target:
    """Where bundles run.

    Attributes:
        python: Version, such as `3.13`.
        machine: `arm64` or `x86_64`.
        wheels: uv's name of the platform; None is this machine.
        has_sdk: True when boto3 is there already.
        interpreter: Python of that version on this machine, which precompiles; None when there is none.
        bytecode: Magic number of its bytecode, in hexadecimal; empty without an interpreter.
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

    Local stages take this interpreter, since the embedded engine runs functions on its own, which is the same. On AWS
    it is arm64 (a fifth cheaper for the same work) and `-c python=…`; without that, this interpreter's version, so that
    what was tested is what runs. Python 3.11 is passed over unless asked for: Lambda's image of it is Amazon Linux 2,
    whose glibc is too old for current wheels (Pillow, for one).

    Raises:
        DefinitionError: Lambda has no such Python.
    """
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    if stage.on_host:
        machine = "arm64" if platform.machine().lower() in ("arm64", "aarch64") else "x86_64"
        return Target(here, machine, None, has_sdk=False, interpreter=sys.executable, bytecode=_ask(sys.executable)[1])
    python = stage.python or (here if here in _PLATFORMS and here != "3.11" else FALLBACK)
    if python not in _PLATFORMS:
        raise DefinitionError(f"python={python!r}: Lambda has {', '.join(_PLATFORMS)}")
    interpreter, bytecode = _find(python)
    return Target(python, "arm64", _PLATFORMS[python], has_sdk=True, interpreter=interpreter, bytecode=bytecode)


def _find(python: str) -> tuple[str | None, str]:
    """Find an interpreter of a version: this one, on the path, or where pyenv and uv keep theirs."""
    for candidate in _candidates(python):
        # A pyenv shim is on the path whether or not it works, so each one is asked.
        version, bytecode = _ask(candidate)
        if version == python:
            return candidate, bytecode
    return None, ""


def _candidates(python: str) -> Iterator[str]:
    yield sys.executable
    found = shutil.which(f"python{python}")
    if found:
        yield found
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    uv = Path(os.environ.get("UV_PYTHON_INSTALL_DIR", Path.home() / ".local/share/uv/python"))
    for folder, pattern in ((pyenv, f"{python}.*"), (uv, f"cpython-{python}.*")):
        for home in sorted(folder.glob(pattern), reverse=True):
            yield str(home / "bin" / "python3")


def _ask(interpreter: str) -> tuple[str, str]:
    try:
        answer = subprocess.run(  # noqa: S603 - an interpreter of this machine, and our own line of code
            [interpreter, "-I", "-c", _TELL], capture_output=True, text=True, check=True, timeout=30
        )
    except (OSError, subprocess.SubprocessError):
        return "", ""
    version, _, bytecode = answer.stdout.strip().partition(" ")
    return version, bytecode
