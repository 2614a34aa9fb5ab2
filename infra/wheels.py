"""Third-party packages of the functions: installed once per distinct set, kept as an archive.

uv installs ready wheels for the target, whatever machine this is: no compiler, no docker. It works without network
once the wheels are in uv's cache, and is not called at all when the archive is there.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from uv import find_uv_bin

from offload.core.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from infra.targets import Target

_RECIPE = 2
"""Raise it when what this module writes changes: archives of another recipe are not used again."""

CONTENTS = "bundle.json"
"""File in every archive that names the packages, their versions and the target."""

_KEPT = 12
"""Archives that stay in the cache: as many distinct sets of requirements as a project may have in use."""

LAMBDA_ROOT = "/var/task"
_EPOCH = (1980, 1, 1, 0, 0, 0)
_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?(==[^\s;\\]+)\s*(;[^\\#]*)?")
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_INSTALLED = re.compile(r"(?P<name>.+)-(?P<version>[^-]+)\.dist-info")


def library_requirements(pyproject: Path) -> list[str]:
    """Read what the library itself needs inside a function: its dependencies and its `runtime` extra."""
    project = tomllib.loads(pyproject.read_text())["project"]
    return [*project["dependencies"], *project["optional-dependencies"]["runtime"]]


def task_requirements(path: Path) -> list[str]:
    """Read a task's `requirements.txt`; an absent file asks for nothing."""
    lines = path.read_text().splitlines() if path.is_file() else []
    return [line for line in (line.partition("#")[0].strip() for line in lines) if line]


def name_of(requirement: str) -> str:
    """Return the normalised package name of a requirement."""
    match = _NAME.match(requirement)
    if match is None:
        raise DefinitionError(f"requirement {requirement!r} does not begin with a package name")
    return re.sub(r"[-_.]+", "-", match[0]).lower()


def read_pins(lock: Path) -> list[str]:
    """Read the `name==version` lines of the root `requirements.txt`; extras and hashes have no place in constraints.

    Raises:
        DefinitionError: The file is not there.
    """
    if not lock.is_file():
        raise DefinitionError(f"{lock} is missing: it pins the versions of what functions run on")
    matches = (_PIN.match(line) for line in lock.read_text().splitlines())
    return sorted(match[1] + match[2] + (f" {match[3].strip()}" if match[3] else "") for match in matches if match)


class Wheels:
    """Archives of installed packages for one target."""

    def __init__(self, target: Target, pins: list[str], cache: Path) -> None:
        """Keep archives under `cache`."""
        self._target, self._pins, self._cache = target, pins, cache

    def archive(self, requirements: Iterable[str]) -> Path:
        """Return a zip archive with the packages, their dependencies and their bytecode.

        Raises:
            DefinitionError: uv could not install them; holds its reason.
        """
        wanted = sorted(set(requirements))
        key = json.dumps([_RECIPE, self._target.tag, self._target.wheels, self._target.bytecode, wanted, self._pins])
        path = self._cache / f"wheels-{hashlib.sha256(key.encode()).hexdigest()[:16]}.zip"
        if path.is_file():
            path.touch()  # it is in use again, so it is not forgotten next
        else:
            self._cache.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self._cache) as scratch:
                self._build(wanted, Path(scratch) / "tree", Path(scratch) / "archive.zip")
                (Path(scratch) / "archive.zip").replace(path)
            keep_newest(self._cache.glob("wheels-*.zip"), _KEPT)
        return path

    def _build(self, requirements: list[str], tree: Path, archive: Path) -> None:
        self._install(requirements, tree)
        for rubbish in (tree / "bin", tree / ".lock"):
            shutil.rmtree(rubbish) if rubbish.is_dir() else rubbish.unlink(missing_ok=True)
        # Typing stubs and packages' own tests are never imported in a function. `.dist-info` stays: it holds the
        # licences, and some packages read their version there.
        for path in [*tree.rglob("*.pyi"), *tree.rglob("tests"), *tree.rglob("RECORD"), *tree.rglob("uv_*.json")]:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        compile_tree(tree, self._target)
        found = (_INSTALLED.fullmatch(path.name) for path in sorted(tree.glob("*.dist-info")))
        contents = {
            "python": self._target.python,
            "machine": self._target.machine,
            "bytecode": self._target.bytecode,
            "packages": {match["name"]: match["version"] for match in found if match},
        }
        (tree / CONTENTS).write_text(json.dumps(contents, indent=1))
        with zipfile.ZipFile(archive, "w") as out:
            add_tree(out, tree)

    def _install(self, requirements: list[str], tree: Path) -> None:
        constraints = tree.with_name("constraints.txt")
        constraints.write_text("\n".join(self._pins))
        command = [find_uv_bin(), "pip", "install", "--quiet", "--target", str(tree), "--constraint", str(constraints)]
        command += ["--only-binary", ":all:", "--no-python-downloads"]
        if self._target.wheels:
            command += ["--python-platform", self._target.wheels, "--python-version", self._target.python]
        command += ["--python", self._target.interpreter or sys.executable]
        failed = _run([*command, *requirements])
        if failed and _run([*command, "--offline", *requirements]):
            raise DefinitionError(f"cannot install {', '.join(requirements)} for {self._target.tag}:\n{failed}")


def _run(command: list[str]) -> str:
    """Run a command; returns what it complains about, or nothing when it succeeds."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - uv, or an interpreter
    return done.stderr.strip() or f"exit code {done.returncode}" if done.returncode else ""


def compile_tree(tree: Path, target: Target) -> None:
    """Write bytecode beside every source, valid whatever the files' times: archives and Lambda do not keep them.

    Does nothing when no interpreter of the target's version is at hand.
    """
    if target.interpreter is None:
        return
    options = ["--invalidation-mode", "unchecked-hash", "-q", "-q", "-j", "0", "-s", str(tree), "-p", LAMBDA_ROOT]
    # A package may ship sources of another Python (templates, vendored fallbacks): what does not compile stays source.
    _run([target.interpreter, "-I", "-m", "compileall", *options, str(tree)])


def keep_newest(paths: Iterable[Path], count: int) -> None:
    """Delete all but the newest files."""
    for path in sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True)[count:]:
        path.unlink(missing_ok=True)


def add_tree(archive: zipfile.ZipFile, tree: Path) -> None:
    """Add every file of a folder, in order and without times, so that the same files make the same archive."""
    for path in _files(tree):
        entry = zipfile.ZipInfo(path.relative_to(tree).as_posix(), _EPOCH)
        # The SDK's service models are compressed already.
        entry.compress_type = zipfile.ZIP_STORED if path.suffix == ".gz" else zipfile.ZIP_DEFLATED
        entry.external_attr = 0o644 << 16  # Lambda runs as another user: everything must be readable
        archive.writestr(entry, path.read_bytes())


def _files(tree: Path) -> Iterator[Path]:
    return (path for path in sorted(tree.rglob("*")) if path.is_file())
