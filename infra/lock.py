"""The lock: the version and the hashes of every package that may get into a bundle.

The root `requirements.txt` locks the packages of the project. A task that needs others locks them in its own
`requirements.txt`, with their hashes; `uv pip compile --generate-hashes` writes such a file. What has no hash there
needs one in the root's file. Nothing is installed that neither file names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from offload.core.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==([^\s;\\]+)\s*(?:;\s*([^\\#]*?))?\s*(?=--hash|$)")
_HASH = re.compile(r"--hash=(sha256:[0-9a-f]{64})(?=\s|$)")
_NAME = re.compile(r"[A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Pin:
    """A locked package.

    Attributes:
        name: Its normalised name.
        version: Its version.
        marker: The machines that it is for, as in PEP 508; empty for all.
        hashes: The hashes of its files, such as `sha256:...`; any of them may be installed.
    """

    name: str
    version: str
    marker: str
    hashes: tuple[str, ...]

    @property
    def constraint(self) -> str:
        """The pin without its hashes."""
        return f"{self.name}=={self.version}{f' ; {self.marker}' if self.marker else ''}"

    @property
    def locked(self) -> str:
        """The requirement that installs exactly this, whatever the machine."""
        return " ".join([f"{self.name}=={self.version}", *(f"--hash={each}" for each in self.hashes)])


def package_name(requirement: str) -> str:
    """Return the normalised package name of a requirement.

    Raises:
        DefinitionError: The requirement does not begin with a package name.
    """
    match = _NAME.match(requirement)
    if match is None:
        raise DefinitionError(f"requirement {requirement!r} does not begin with a package name")
    return re.sub(r"[-_.]+", "-", match[0]).lower()


def requirement_lines(path: Path) -> list[str]:
    """Return the requirements in a file, each as one line with its hashes; the file may be absent."""
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    joined = re.sub(r"\\[ \t]*\n", " ", text).splitlines()
    return [line for line in (re.sub(r"(^|\s)#.*", "", line).strip() for line in joined) if line]


def read_lock(path: Path) -> list[Pin]:
    """Read the locked packages of a `requirements.txt`.

    Raises:
        DefinitionError: The file does not exist, or a package has no hash.
    """
    if not path.is_file():
        raise DefinitionError(f"{path} is missing: it locks the versions and hashes of the functions' packages")
    pins = [pin for pin in map(_pin, requirement_lines(path)) if pin is not None]
    for pin in pins:
        if not pin.hashes:
            raise DefinitionError(f"{path}: {pin.name}=={pin.version} has no hash: run `make lock`")
    return pins


def own_pins(path: Path) -> list[Pin]:
    """Read the packages that a task's own `requirements.txt` locks with hashes; the file may be absent."""
    return [pin for pin in map(_pin, requirement_lines(path)) if pin is not None and pin.hashes]


def select(resolved: Iterable[str], pins: Sequence[Pin]) -> list[Pin]:
    """Return the pins of resolved packages.

    Args:
        resolved: Lines such as `six==1.17.0`, as a resolver prints them.
        pins: The lock.

    Raises:
        DefinitionError: A package is not locked in this version.
    """
    by_name = {(pin.name, pin.version): pin for pin in pins}
    selected = []
    for line in resolved:
        name, _, version = line.partition("==")
        pin = by_name.get((package_name(name), version.strip()))
        if pin is None:
            raise DefinitionError(
                f"{line} is not locked: name the package in the root requirements.in and run `make lock`, or lock it "
                "in the task's own requirements.txt with `uv pip compile --generate-hashes`"
            )
        selected.append(pin)
    return selected


def _pin(line: str) -> Pin | None:
    match = _PIN.match(line)
    if match is None:
        return None
    return Pin(package_name(match[1]), match[2], (match[3] or "").strip(), tuple(_HASH.findall(line)))
