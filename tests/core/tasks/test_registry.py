"""Finding tasks: one folder each, and a broken one is named with its path and the reason."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from offload import DefinitionError, UnknownTask
from offload.core.tasks.registry import discover, find_root, load_task, task_names


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Call it with handlers by folder; the process's own `functions` package is put aside for the test."""
    for name in [name for name in sys.modules if name.split(".")[0] == "functions"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry not in ("", ".")])

    def make(handlers, init=""):
        root = tmp_path / "app"
        (root / "functions").mkdir(parents=True)
        (root / "functions" / "__init__.py").write_text(init)
        for folder, source in handlers.items():
            (root / "functions" / folder).mkdir()
            (root / "functions" / folder / "handler.py").write_text(source)
        return root

    yield make
    for name in [name for name in sys.modules if name.split(".")[0] == "functions"]:
        del sys.modules[name]


GOOD = "from offload import task\n@task\ndef {name}(x: int = 1) -> int:\n    return x\n"


def test_every_folder_with_a_handler_is_a_task(project):
    root = project({name: GOOD.format(name=name) for name in ("beta", "alpha")})
    (root / "functions" / "no_task").mkdir()
    (root / "functions" / "__pycache__").mkdir()
    assert task_names(root) == ["alpha", "beta"]
    found = discover(root)
    assert list(found) == ["alpha", "beta"]
    assert found["beta"](5) == 5


BROKEN = {
    "syntax error": ("def broken(:", "does not import: SyntaxError"),
    "missing module": (
        "import no_such_module",
        "does not import: ModuleNotFoundError: No module named 'no_such_module'",
    ),
    "raises": ("raise RuntimeError('no config')", "does not import: RuntimeError: no config"),
    "exits": ("import sys; sys.exit('no config')", "does not import: SystemExit: no config"),
    "wrong setting": ("from offload import task\n@task(timeout='1y')\ndef work(): ...", "task 'work': timeout='1y'"),
    "empty": ("", "must define exactly one task, a function named 'work' under @task; it defines no task"),
    "no decorator": ("def work(): ...", "it defines no task"),
    "another name": (GOOD.format(name="wrok"), "it defines wrok"),
    "two tasks": (GOOD.format(name="work") + GOOD.format(name="other"), "it defines work, other"),
    "not a task": ("work = 5", "it defines no task"),
    "imported task": ("from functions.good.handler import good as work", "it defines no task"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_folder_is_named_with_its_path_and_the_reason(project, kind):
    source, reason = BROKEN[kind]
    root = project({"good": GOOD.format(name="good"), "work": source})
    with pytest.raises(DefinitionError) as refused:
        discover(root)
    assert str(refused.value).startswith("functions/work/handler.py ")
    assert reason in str(refused.value)
    assert load_task("good", root).name == "good"


def test_a_follow_up_that_takes_no_job_is_refused_where_all_tasks_are_known(project):
    sad = "from offload import task\n@task(on_failure='good')\ndef work(): ...\n"
    root = project({"good": GOOD.format(name="good"), "work": sad})
    with pytest.raises(DefinitionError, match="task 'work': on_failure='good': good takes no argument 'job'"):
        discover(root)


@pytest.mark.parametrize("setting", ["on_success='nope'", "on_failure='nope'", "enqueues=('good', 'nope')"])
def test_a_task_that_names_one_that_is_not_there_is_refused(project, setting):
    sad = f"from offload import task\n@task({setting})\ndef work(): ...\n"
    root = project({"good": GOOD.format(name="good"), "work": sad})
    with pytest.raises(DefinitionError, match=r"task 'work': \w+='nope': no such task; there are good, work. Wr"):
        discover(root)


def test_a_handler_may_import_another_task(project):
    source = "from functions.good.handler import good\n" + GOOD.format(name="work")
    root = project({"good": GOOD.format(name="good"), "work": source})
    assert set(discover(root)) == {"good", "work"}


def test_defaults_in_the_package_hold_for_its_tasks(project, monkeypatch):
    from offload.core.tasks import settings

    monkeypatch.setattr(settings, "_app_wide", {})
    root = project({"work": GOOD.format(name="work")}, init="from offload import defaults\ndefaults(memory=1024)\n")
    assert load_task("work", root).settings.memory == 1024


def test_an_unknown_task_is_told_with_those_there_are(project):
    root = project({"good": GOOD.format(name="good")})
    with pytest.raises(UnknownTask, match=r"no functions/missing/handler\.py; found good"):
        load_task("missing", root)


def test_the_root_is_looked_for_upwards(project, tmp_path):
    root = project({"good": GOOD.format(name="good")})
    assert find_root(root / "functions" / "good") == root
    (root / "tests" / "functions").mkdir(parents=True)
    assert find_root(root / "tests") == root, "a folder of that name without tasks is not the project's"
    with pytest.raises(DefinitionError, match="run this inside your Offload project"):
        find_root(tmp_path)


def test_every_task_of_this_app_loads():
    root = Path(__file__).parents[3]
    assert set(discover(root)) == set(task_names(root)) != set()
