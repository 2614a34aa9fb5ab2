"""Bundles: what is uploaded as a function's code, one archive a task.

| in the archive      | from                                                                     |
|---------------------|--------------------------------------------------------------------------|
| `offload/`          | `shared/offload/` without faces, local mode and testing                  |
| `functions/*.py`    | what the project's tasks share                                           |
| `functions/<task>/` | the task, and each task its `enqueues` names, which it may thus import   |
| packages            | the library's requirements and the tasks' `requirements.txt`, all pinned |
|                     | by the root `requirements.txt`                                           |
| `bundle.json`       | their versions                                                           |

AWS's own boto3 serves on AWS, unless a task's `requirements.txt` names `boto3`: pinned, it makes an archive five times
as large. Local bundles always hold it, since the embedded engine's interpreter has none.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from infra.wheels import (
    CONTENTS,
    Wheels,
    add_tree,
    compile_tree,
    keep_newest,
    library_requirements,
    name_of,
    read_pins,
    task_requirements,
)
from offload.core.registry import PACKAGE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from infra.targets import Target

HOME = Path(__file__).resolve().parent.parent
"""The repository: where the library, its requirements and the pins are."""

ROOMS = ("aws", "client", "core", "runtime")
"""Parts of the library that run inside a function."""

_KEPT = 2
"""Archives of a task that stay in the cache, newest first; another synth may be reading the last one."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A function's code.

    Attributes:
        path: The archive.
        digest: Changes exactly when a source, a package version or the target changes.
    """

    path: Path
    digest: str


class Bundler:
    """Builds bundles for one target."""

    def __init__(
        self, root: Path, target: Target, *, lock: Path = HOME / "requirements.txt", cache: Path | None = None
    ) -> None:
        """Bundle the tasks under `root`; archives are kept under its `.offload/bundles`."""
        self._root, self._target = root, target
        self._cache = (cache or root / ".offload" / "bundles") / target.tag
        self._wheels = Wheels(target, read_pins(lock), self._cache)
        self._library = library_requirements(HOME / "pyproject.toml")

    def bundle(self, task: str, importable: Iterable[str] = ()) -> Bundle:
        """Build a task's bundle, or find it built.

        Args:
            task: Its name.
            importable: Other tasks whose modules it may import.

        Raises:
            DefinitionError: A requirement cannot be installed.
        """
        folders = [task, *sorted(set(importable) - {task})]
        packages = self._wheels.archive(self._requirements(folders))
        sources = dict(self._sources(folders))
        digest = hashlib.sha256(zipfile.ZipFile(packages).read(CONTENTS))
        for name in sorted(sources):
            digest.update(f"\0{name}\0".encode() + hashlib.sha256(sources[name].read_bytes()).digest())
        path = self._cache / f"{task}-{digest.hexdigest()[:16]}.zip"
        if path.is_file():
            path.touch()  # it is in use again, so it is not forgotten next
        else:
            self._build(path, packages, sources)
            built = self._cache.glob(f"{task}-*.zip")
            # Another task's name may begin with this one's; only the digest has no hyphen and 16 characters.
            keep_newest((old for old in built if len(old.stem) == len(task) + 17), _KEPT)
        return Bundle(path, digest.hexdigest())

    def _requirements(self, folders: list[str]) -> list[str]:
        library = self._library
        if self._target.has_sdk:
            library = [line for line in library if name_of(line) != "boto3"]
        own = (task_requirements(self._root / PACKAGE / folder / "requirements.txt") for folder in folders)
        return [*library, *(line for lines in own for line in lines)]

    def _sources(self, folders: list[str]) -> Iterator[tuple[str, Path]]:
        library = HOME / "shared" / "offload"
        yield "offload/__init__.py", library / "__init__.py"
        trees = [(library / room, f"offload/{room}") for room in ROOMS]
        trees += [(self._root / PACKAGE / folder, f"{PACKAGE}/{folder}") for folder in folders]
        for tree, name in trees:
            for path in tree.rglob("*"):
                inner = path.relative_to(tree)
                if path.is_file() and _ships(inner):
                    yield f"{name}/{inner.as_posix()}", path
        for path in (self._root / PACKAGE).glob("*.py"):
            yield f"{PACKAGE}/{path.name}", path

    def _build(self, path: Path, packages: Path, sources: dict[str, Path]) -> None:
        with tempfile.TemporaryDirectory(dir=self._cache) as folder:
            tree, archive = Path(folder) / "tree", Path(folder) / "archive.zip"
            for name, source in sources.items():
                copy = tree / name
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, copy)
            compile_tree(tree, self._target)
            # The packages are compressed once; each task's archive begins as a copy of theirs.
            shutil.copyfile(packages, archive)
            with zipfile.ZipFile(archive, "a") as out:
                add_tree(out, tree)
            archive.replace(path)


def _ships(path: Path) -> bool:
    hidden = any(part.startswith(".") or part in ("__pycache__", "tests") for part in path.parts)
    return not (
        hidden
        or path.suffix == ".pyc"
        or path.name.startswith(("test_", "conftest"))
        or path.name == "requirements.txt"
    )
