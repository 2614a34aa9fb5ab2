"""The third-party packages of functions. Each distinct set of packages is installed once and kept as an archive.

uv installs finished wheels for the target, on any machine, without a compiler and without docker. It needs no network
when the wheels are in its cache. It does not run at all when the archive exists.
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

_FORMAT = 2
"""Version of the archives that this module writes. Increase it with every change of the format: archives with another
version are not used again."""

CONTENTS = "bundle.json"
"""File in every archive that names the packages, their versions and the target."""

_MOST_CACHED = 12
"""Number of archives that stay in the cache, the newest ones. A project may use as many sets of packages."""

LAMBDA_ROOT = "/var/task"
_EARLIEST_TIME = (1980, 1, 1, 0, 0, 0)
_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?(==[^\s;\\]+)\s*(;[^\\#]*)?")
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_INSTALLED = re.compile(r"(?P<name>.+)-(?P<version>[^-]+)\.dist-info")


def library_requirements(pyproject: Path) -> list[str]:
    """Return the requirements of the library inside a function: its dependencies and its `runtime` extra."""
    project = tomllib.loads(pyproject.read_text())["project"]
    return [*project["dependencies"], *project["optional-dependencies"]["runtime"]]


def task_requirements(path: Path) -> list[str]:
    """Return the requirements in a task's `requirements.txt`; the file may be absent."""
    lines = path.read_text().splitlines() if path.is_file() else []
    return [line for line in (line.partition("#")[0].strip() for line in lines) if line]


def package_name(requirement: str) -> str:
    """Return the normalised package name of a requirement.

    Raises:
        DefinitionError: The requirement does not begin with a package name.
    """
    match = _NAME.match(requirement)
    if match is None:
        raise DefinitionError(f"requirement {requirement!r} does not begin with a package name")
    return re.sub(r"[-_.]+", "-", match[0]).lower()


def read_pins(lock: Path) -> list[str]:
    """Read the `name==version` lines of the root `requirements.txt`, without extras and hashes.

    uv does not accept extras and hashes in constraints.

    Raises:
        DefinitionError: The file does not exist.
    """
    if not lock.is_file():
        raise DefinitionError(f"{lock} is missing: it pins the versions of the functions' packages")
    matches = (_PIN.match(line) for line in lock.read_text().splitlines())
    return sorted(match[1] + match[2] + (f" {match[3].strip()}" if match[3] else "") for match in matches if match)


class Wheels:
    """Archives of installed packages for one target."""

    def __init__(self, target: Target, pins: list[str], cache: Path) -> None:
        """Keep the target, the pinned versions and the folder for archives; nothing is installed."""
        self._target, self._pins, self._cache = target, pins, cache

    def archive(self, requirements: Iterable[str]) -> Path:
        """Return a zip archive with the packages, their dependencies and their bytecode.

        Raises:
            DefinitionError: uv could not install the packages. The message contains uv's error.
        """
        wanted = sorted(set(requirements))
        key = json.dumps([_FORMAT, self._target.tag, self._target.wheels, self._target.bytecode, wanted, self._pins])
        path = self._cache / f"wheels-{hashlib.sha256(key.encode()).hexdigest()[:16]}.zip"
        if path.is_file():
            path.touch()  # the newest archives stay in the cache, so an archive in use must look new
        else:
            self._cache.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self._cache) as folder:
                tree, archive = Path(folder) / "tree", Path(folder) / "archive.zip"
                self._build(wanted, tree, archive)
                archive.replace(path)
            keep_newest(self._cache.glob("wheels-*.zip"), _MOST_CACHED)
        return path

    def _build(self, requirements: list[str], tree: Path, archive: Path) -> None:
        self._install(requirements, tree)
        for unneeded in (tree / "bin", tree / ".lock"):
            shutil.rmtree(unneeded) if unneeded.is_dir() else unneeded.unlink(missing_ok=True)
        # A function never imports typing stubs and the tests of packages. `.dist-info` stays, because it contains the
        # licences, and some packages read their own version from it.
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
        problem = _run([*command, *requirements])
        if problem and _run([*command, "--offline", *requirements]):
            raise DefinitionError(f"cannot install {', '.join(requirements)} for {self._target.tag}:\n{problem}")


def _run(command: list[str]) -> str:
    """Run a command; returns its error output, or an empty text when it succeeds."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - uv, or an interpreter
    return done.stderr.strip() or f"exit code {done.returncode}" if done.returncode else ""


def compile_tree(tree: Path, target: Target) -> None:
    """Write bytecode beside every source file.

    The bytecode does not depend on the times of files, because archives and Lambda do not keep these times. Nothing is
    written when this machine has no interpreter of the target's version.
    """
    if target.interpreter is None:
        return
    options = ["--invalidation-mode", "unchecked-hash", "-q", "-q", "-j", "0", "-s", str(tree), "-p", LAMBDA_ROOT]
    # The result is ignored: some packages contain sources that do not compile, such as templates or code for other
    # Python versions. These files stay as they are.
    _run([target.interpreter, "-I", "-m", "compileall", *options, str(tree)])


def keep_newest(paths: Iterable[Path], count: int) -> None:
    """Delete all files except the newest `count` ones."""
    for path in sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True)[count:]:
        path.unlink(missing_ok=True)


def add_tree(archive: zipfile.ZipFile, tree: Path) -> None:
    """Add every file of a folder, sorted and without its time, so that the same files make the same archive."""
    for path in _files(tree):
        entry = zipfile.ZipInfo(path.relative_to(tree).as_posix(), _EARLIEST_TIME)
        # The service models of the AWS SDK are compressed already.
        entry.compress_type = zipfile.ZIP_STORED if path.suffix == ".gz" else zipfile.ZIP_DEFLATED
        entry.external_attr = 0o644 << 16  # readable for all, because Lambda runs functions as another user
        archive.writestr(entry, path.read_bytes())


def _files(tree: Path) -> Iterator[Path]:
    return (path for path in sorted(tree.rglob("*")) if path.is_file())
