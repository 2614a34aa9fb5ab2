"""Discovery: every folder under `functions/` with a `handler.py` is a task of the folder's name."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from offload.core.errors import DefinitionError, UnknownTask
from offload.core.tasks.references import check_references
from offload.core.tasks.task import AnyTask

PACKAGE = "functions"
MODULE = "handler"


def find_root(start: Path | None = None) -> Path:
    """Return the nearest folder, upwards, whose `functions/` holds tasks, or lies beside a `cdk.json`.

    Raises:
        DefinitionError: There is none.
    """
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / PACKAGE).is_dir() and (task_names(folder) or (folder / "cdk.json").is_file()):
            return folder
    msg = f"no {PACKAGE}/ folder with tasks in {here} or above: run this inside your Offload project"
    raise DefinitionError(msg)


def task_names(root: Path) -> list[str]:
    """Return the names of a project's tasks, sorted, without importing them."""
    return sorted(path.parent.name for path in (root / PACKAGE).glob(f"*/{MODULE}.py"))


def load_task(name: str, root: Path) -> AnyTask[Any, Any]:
    """Import one task.

    Raises:
        UnknownTask: No such folder.
        DefinitionError: Its module does not import, or defines no task of the folder's name.
    """
    path = root / PACKAGE / name / f"{MODULE}.py"
    if not path.is_file():
        msg = f"task {name!r}: no {PACKAGE}/{name}/{MODULE}.py; found {', '.join(task_names(root)) or 'none'}"
        raise UnknownTask(msg)
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    shown = f"{PACKAGE}/{name}/{MODULE}.py"
    try:
        module = importlib.import_module(f"{PACKAGE}.{name}.{MODULE}")
    except (Exception, SystemExit) as error:  # whatever a user's module raises at import is reported with its path
        msg = f"{shown} does not import: {type(error).__name__}: {error}"
        raise DefinitionError(msg) from error
    own = [
        value for value in vars(module).values() if isinstance(value, AnyTask) and value.__module__ == module.__name__
    ]
    found = [task for task in own if task.name == name]
    if len(found) == 1 and len(own) == 1:
        return found[0]
    others = ", ".join(task.name for task in own)
    has = f"it defines {others}" if own else "it defines no task"
    msg = f"{shown} must define exactly one task, a function named {name!r} under @task; {has}"
    raise DefinitionError(msg)


def discover(root: Path) -> dict[str, AnyTask[Any, Any]]:
    """Import every task of a project, by name.

    Raises:
        DefinitionError: A folder is broken, or a task names one that is not there, or that cannot follow it.
    """
    tasks = {name: load_task(name, root) for name in task_names(root)}
    check_references(tasks, fix=f"Write {PACKAGE}/<name>/{MODULE}.py, or name another task")
    return tasks
