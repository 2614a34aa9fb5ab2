"""Bundles: the code of the functions, one archive for each task.

| in the archive      | from                                                                          |
|---------------------|-------------------------------------------------------------------------------|
| `offload/`          | the rooms of `shared/offload/` that run inside a function                     |
| `functions/*.py`    | modules that the project's tasks share                                        |
| `functions/<task>/` | the task, and the tasks in its `enqueues`, whose modules it may import        |
| packages            | requirements of the library and of the tasks, in the versions and with the    |
|                     | hashes that the root `requirements.txt` or the task's own has                 |
| `bundle.json`       | the versions of the packages                                                  |
| `tasks.json`        | what the manifest says of the tasks that the function may enqueue             |

On AWS a bundle uses the boto3 that Lambda provides, unless a task's `requirements.txt` names `boto3`. An archive with
its own boto3 is five times as large. A local bundle always contains boto3, because the embedded engine's interpreter
does not have it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.lock import own_pins, package_name, read_lock
from infra.wheels import (
    CONTENTS,
    Wheels,
    add_tree,
    compile_tree,
    keep_newest,
    library_requirements,
    task_requirements,
)
from offload.core.manifest import TASKS_FILE
from offload.core.tasks.registry import PACKAGE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from infra.targets import Target

REPOSITORY = Path(__file__).resolve().parent.parent
"""The folder with the library, its requirements and the pinned versions."""

ROOMS = ("aws", "client", "core", "runtime")
"""Packages of the library that run inside a function."""

_MOST_CACHED = 2
"""Number of a task's archives that stay in the cache, the newest ones. Another synth may still read the older one."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A function's code.

    Attributes:
        path: The archive.
        digest: A hash that changes exactly when a source, a package version or the target changes.
    """

    path: Path
    digest: str


class Bundler:
    """Builds bundles for one target."""

    def __init__(
        self, root: Path, target: Target, *, lock: Path = REPOSITORY / "requirements.txt", cache: Path | None = None
    ) -> None:
        """Prepare to bundle tasks; nothing is built.

        Args:
            root: Folder with the project's `functions/`.
            target: The machine that the bundles are built for.
            lock: File with the versions and hashes of the packages.
            cache: Folder for finished archives; None means `.offload/bundles` under `root`.
        """
        self._root, self._target = root, target
        self._cache = (cache or root / ".offload" / "bundles") / target.tag
        self._wheels = Wheels(target, read_lock(lock), self._cache)
        self._library = library_requirements(REPOSITORY / "pyproject.toml")

    def bundle(self, task: str, importable: Iterable[str] = (), known: Mapping[str, Any] | None = None) -> Bundle:
        """Return a task's bundle, built now or found in the cache.

        Args:
            task: The task's name.
            importable: Other tasks whose modules the task may import.
            known: What the manifest says of the tasks that the task may enqueue.

        Raises:
            DefinitionError: A requirement is not locked, or cannot be installed.
        """
        folders = [task, *sorted(set(importable) - {task})]
        own = [pin for folder in folders for pin in own_pins(self._task_file(folder))]
        packages = self._wheels.archive(self._requirements(folders), own)
        sources = dict(self._sources(folders))
        tasks = json.dumps({**(known or {})}, separators=(",", ":")).encode()
        digest = hashlib.sha256(zipfile.ZipFile(packages).read(CONTENTS))
        for name in sorted(sources):
            digest.update(f"\0{name}\0".encode() + hashlib.sha256(sources[name].read_bytes()).digest())
        digest.update(f"\0{TASKS_FILE}\0".encode() + tasks)
        path = self._cache / f"{task}-{digest.hexdigest()[:16]}.zip"
        if path.is_file():
            path.touch()  # the newest archives stay in the cache, so an archive in use must look new
        else:
            self._build(path, packages, sources, tasks)
            built = self._cache.glob(f"{task}-*.zip")
            # The pattern also finds tasks whose names begin with this task's name. The length of the file name tells
            # them apart: this task's archives have a hyphen and 16 characters of the digest after the name.
            keep_newest((old for old in built if len(old.stem) == len(task) + 17), _MOST_CACHED)
        return Bundle(path, digest.hexdigest())

    def _requirements(self, folders: list[str]) -> list[str]:
        library = self._library
        if self._target.has_sdk:
            library = [line for line in library if package_name(line) != "boto3"]
        of_tasks = (task_requirements(self._task_file(folder)) for folder in folders)
        return [*library, *(line for lines in of_tasks for line in lines)]

    def _task_file(self, folder: str) -> Path:
        return self._root / PACKAGE / folder / "requirements.txt"

    def _sources(self, folders: list[str]) -> Iterator[tuple[str, Path]]:
        """Yield the name in the archive and the path of each source file."""
        library = REPOSITORY / "shared" / "offload"
        yield "offload/__init__.py", library / "__init__.py"
        trees = [(library / room, f"offload/{room}") for room in ROOMS]
        trees += [(self._root / PACKAGE / folder, f"{PACKAGE}/{folder}") for folder in folders]
        for tree, name in trees:
            for path in tree.rglob("*"):
                relative = path.relative_to(tree)
                if path.is_file() and _belongs_in_bundle(relative):
                    yield f"{name}/{relative.as_posix()}", path
        for path in (self._root / PACKAGE).glob("*.py"):
            yield f"{PACKAGE}/{path.name}", path

    def _build(self, path: Path, packages: Path, sources: dict[str, Path], tasks: bytes) -> None:
        with tempfile.TemporaryDirectory(dir=self._cache) as folder:
            tree, archive = Path(folder) / "tree", Path(folder) / "archive.zip"
            for name, source in sources.items():
                copy = tree / name
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, copy)
            (tree / TASKS_FILE).write_bytes(tasks)
            compile_tree(tree, self._target)
            # Each archive begins as a copy of the packages' archive, so that the packages are compressed only once.
            shutil.copyfile(packages, archive)
            with zipfile.ZipFile(archive, "a") as out:
                add_tree(out, tree)
            archive.replace(path)


def _belongs_in_bundle(path: Path) -> bool:
    hidden = any(part.startswith(".") or part in ("__pycache__", "tests") for part in path.parts)
    return not (
        hidden
        or path.suffix == ".pyc"
        or path.name.startswith(("test_", "conftest"))
        or path.name == "requirements.txt"
    )
