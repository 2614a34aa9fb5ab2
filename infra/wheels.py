"""The third-party packages of functions. Each distinct set of packages is installed once and kept as an archive.

Every file that is installed has a hash that the lock names (`infra.lock`).

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
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

from uv import find_uv_bin

from infra.lock import Pin, requirement_lines, select
from offload.core.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from infra.targets import Target

_FORMAT = 3
"""Version of the archives that this module writes. Increase it with every change of the format: archives with another
version are not used again."""

CONTENTS = "bundle.json"
"""File in every archive that names the packages, their versions and the target."""

_MOST_CACHED = 12
"""Number of archives that stay in the cache, the newest ones. A project may use as many sets of packages."""

LAMBDA_ROOT = "/var/task"
_EARLIEST_TIME = (1980, 1, 1, 0, 0, 0)
_INSTALLED = re.compile(r"(?P<name>.+)-(?P<version>[^-]+)\.dist-info")


def library_requirements(pyproject: Path) -> list[str]:
    """Return the requirements of the library inside a function: its dependencies and its `runtime` extra."""
    project = tomllib.loads(pyproject.read_text())["project"]
    return [*project["dependencies"], *project["optional-dependencies"]["runtime"]]


def task_requirements(path: Path) -> list[str]:
    """Return the requirements in a task's `requirements.txt`, without hashes; the file may be absent."""
    return [line.partition(" --hash=")[0].strip() for line in requirement_lines(path)]


class Wheels:
    """Archives of installed packages for one target."""

    def __init__(self, target: Target, lock: Sequence[Pin], cache: Path) -> None:
        """Keep the target, the lock and the folder for archives; nothing is installed."""
        self._target, self._lock, self._cache = target, lock, cache

    def archive(self, requirements: Iterable[str], own: Iterable[Pin] = ()) -> Path:
        """Return a zip archive with the packages, their dependencies and their bytecode.

        Args:
            requirements: What is needed.
            own: Locked packages besides those of the lock.

        Raises:
            DefinitionError: A package is not locked, or uv could not install the packages, for example because a file
                has another hash than its lock. The message contains uv's error.
        """
        wanted, pins = sorted(set(requirements)), sorted({*self._lock, *own}, key=attrgetter("locked", "marker"))
        locked = [(pin.locked, pin.marker) for pin in pins]
        key = json.dumps([_FORMAT, self._target.tag, self._target.wheels, self._target.bytecode, wanted, locked])
        path = self._cache / f"wheels-{hashlib.sha256(key.encode()).hexdigest()[:16]}.zip"
        if path.is_file():
            path.touch()  # the newest archives stay in the cache, so an archive in use must look new
        else:
            self._cache.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self._cache) as folder:
                tree, archive = Path(folder) / "tree", Path(folder) / "archive.zip"
                self._build(wanted, pins, tree, archive)
                archive.replace(path)
            keep_newest(self._cache.glob("wheels-*.zip"), _MOST_CACHED)
        return path

    def _build(self, requirements: list[str], pins: list[Pin], tree: Path, archive: Path) -> None:
        self._install(requirements, pins, tree)
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

    def _install(self, requirements: list[str], pins: list[Pin], tree: Path) -> None:
        """Resolve the requirements within the lock, and install exactly the files whose hashes the lock has."""
        constraints, wanted = tree.with_name("constraints.txt"), tree.with_name("wanted.txt")
        constraints.write_text("\n".join(pin.constraint for pin in pins), encoding="utf-8")
        wanted.write_text("\n".join(requirements), encoding="utf-8")
        machine = [
            "--only-binary",
            ":all:",
            "--no-python-downloads",
            "--python",
            self._target.interpreter or sys.executable,
        ]
        if self._target.wheels:
            machine += ["--python-platform", self._target.wheels, "--python-version", self._target.python]
        resolve = ["compile", "--quiet", "--no-header", "--no-annotate", "--constraint", str(constraints), str(wanted)]
        resolved = self._uv([*resolve, *machine], requirements)
        locked = tree.with_name("locked.txt")
        locked.write_text("\n".join(pin.locked for pin in select(resolved.split("\n"), pins)), encoding="utf-8")
        install = ["install", "--quiet", "--no-deps", "--require-hashes", "--target", str(tree)]
        self._uv([*install, *machine, "--requirement", str(locked)], requirements)

    def _uv(self, arguments: list[str], requirements: list[str]) -> str:
        """Run a command of `uv pip`, without the network if it fails with it; returns what it printed.

        Raises:
            DefinitionError: The command failed both times.
        """
        command = [find_uv_bin(), "pip", *arguments, "--color", "never"]
        done = _run(command)
        if done.returncode and (offline := _run([*command, "--offline"])).returncode == 0:
            done = offline
        if done.returncode:
            problem = done.stderr.strip() or f"exit code {done.returncode}"
            raise DefinitionError(f"cannot install {', '.join(requirements)} for {self._target.tag}:\n{problem}")
        return done.stdout.strip()


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - uv, or an interpreter


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
