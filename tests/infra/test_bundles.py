"""Bundles: built for real, for this machine, from the pinned versions."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from infra import targets
from infra.bundles import Bundler
from infra.lock import package_name, read_lock
from infra.stages import Stage
from infra.wheels import library_requirements, task_requirements
from offload import DefinitionError

HERE = targets.choose(Stage("local", log_days=1, on_host=True))

HANDLER = """
from functions import GREETING
from functions.one import words
from offload import task

@task
def {name}(who: str = "you") -> str:
    return f"{{GREETING}} {{who}}"
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def write_project(root):
    """Write a project of two tasks, with what does not belong into a bundle lying around."""
    functions = root / "functions"
    for name in ("one", "two"):
        (functions / name / "tests").mkdir(parents=True)
        (functions / name / "tests" / "test_it.py").write_text("")
        (functions / name / "handler.py").write_text(HANDLER.format(name=name))
        (functions / name / "words.py").write_text("")
    (functions / "__init__.py").write_text('GREETING = "hello"\n')
    (functions / "one" / "template.txt").write_text("Dear {who}")
    (functions / "one" / "test_words.py").write_text("")
    (functions / "one" / ".env").write_text("SECRET=1")
    return root


@pytest.fixture
def project(tmp_path):
    return write_project(tmp_path)


def bundler(project, cache):
    return Bundler(project, HERE, cache=cache)


def names(bundle):
    with zipfile.ZipFile(bundle.path) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def opened(cache, tmp_path_factory):
    """A bundle as Lambda unpacks it."""
    bundle = bundler(write_project(tmp_path_factory.mktemp("opened")), cache).bundle("one")
    folder = tmp_path_factory.mktemp("task")
    with zipfile.ZipFile(bundle.path) as archive:
        archive.extractall(folder)
    return folder


def run(folder, code):
    """Run code with nothing but the bundle and the standard library on the path."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "OFFLOAD_"))}
    script = f"import sys; sys.path.insert(0, {str(folder)!r})\n{code}"
    command = [sys.executable, "-I", "-S", "-c", script]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def test_it_holds_what_runs_and_nothing_else(opened):
    found = {path.relative_to(opened).as_posix() for path in opened.rglob("*") if "__pycache__" not in path.parts}
    assert {
        "offload/__init__.py",
        "offload/runtime/entry.py",
        "offload/core/tasks/task.py",
        "offload/aws/table.py",
    } <= found
    assert {path.name for path in (opened / "offload").iterdir() if path.is_dir()} == {
        *("aws", "client", "core", "runtime", "__pycache__")
    }
    mine = {path for path in found if path.startswith("functions/") and (opened / path).is_file()}
    assert mine == {
        f"functions/{name}" for name in ("__init__.py", "one/handler.py", "one/words.py", "one/template.txt")
    }
    for package in ("pydantic", "aws_lambda_powertools", "jmespath", "cronsim", "boto3"):
        assert (opened / package).is_dir(), package
    for package in ("moto", "aws_cdk", "pytest", "click"):
        assert not (opened / package).exists(), package


def test_it_says_which_versions_it_holds(opened, repository):
    contents = json.loads((opened / "bundle.json").read_text())
    assert contents["python"] == HERE.python
    pinned = {pin.name: pin.version for pin in read_lock(repository / "requirements.txt")}
    assert contents["packages"]["pydantic"] == pinned["pydantic"]
    assert contents["packages"]["boto3"] == pinned["boto3"]


def test_it_runs_alone(opened):
    code = (
        "from functions.one.handler import one\n"
        "import pydantic_core, boto3, offload.runtime.powertools\n"
        "from offload.core.tasks.registry import load_task\n"
        "from pathlib import Path\n"
        f"assert load_task('one', Path({str(opened)!r})) is one\n"
        "print(one('world'))"
    )
    assert run(opened, code).strip() == "hello world"


def test_a_task_module_loads_no_sdk_there(opened):
    code = "import functions.one.handler\nprint({'boto3', 'aws_lambda_powertools'} & set(sys.modules))"
    assert run(opened, code).strip() == "set()"


def test_bytecode_is_there_and_is_used_whatever_the_times(opened):
    compiled = sys.implementation.cache_tag
    library = "offload/core/tasks/__pycache__/task"
    for module in (library, "functions/one/__pycache__/handler", "pydantic/__pycache__/main"):
        header = (opened / f"{module}.{compiled}.pyc").read_bytes()[:8]
        assert header[:4].hex() == HERE.bytecode
        assert header[4:] == b"\x01\x00\x00\x00"  # by hash, not checked
    for source in opened.rglob("*.py"):
        os.utime(source, (2_000_000_000, 2_000_000_000))
    code = "import offload.core.tasks.task as m\nprint(m.__cached__, m.__spec__.loader.path_stats)"
    assert f"{library}.{compiled}.pyc" in run(opened, code)
    assert run(opened, "sys.dont_write_bytecode = False\nimport offload.core.tasks.task").strip() == ""
    assert (opened / f"{library}.{compiled}.pyc").read_bytes()[:8] == header


def test_the_same_sources_make_the_same_bundle(project, cache, tmp_path):
    first = bundler(project, cache).bundle("one")
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(project / "functions", elsewhere / "functions")
    second = Bundler(elsewhere, HERE, cache=cache).bundle("one")
    assert first == second
    data = first.path.read_bytes()
    first.path.unlink()
    assert bundler(project, cache).bundle("one").path.read_bytes() == data


def test_the_digest_follows_sources_and_nothing_else(project, cache):
    build = bundler(project, cache)
    before = build.bundle("one").digest
    rubbish = project / "functions" / "one" / "__pycache__"
    rubbish.mkdir()
    (rubbish / "handler.cpython-399.pyc").write_bytes(b"stray")
    (project / "functions" / "two" / "handler.py").write_text("# another task")
    (project / "functions" / "one" / "test_words.py").write_text("# a test")
    os.utime(project / "functions" / "one" / "handler.py")
    assert build.bundle("one").digest == before
    (project / "functions" / "one" / "template.txt").write_text("Hello {who}")
    changed = build.bundle("one").digest
    assert changed != before
    (project / "functions" / "__init__.py").write_text('GREETING = "hi"\n')
    assert build.bundle("one").digest not in (before, changed)


def test_tasks_it_may_import_come_along(project, cache):
    alone, together = bundler(project, cache).bundle("one"), bundler(project, cache).bundle("one", ["two", "one"])
    assert "functions/two/handler.py" not in names(alone)
    assert "functions/two/handler.py" in names(together)
    assert alone.digest != together.digest


def test_a_bundle_has_what_the_manifest_says_of_tasks(project, cache):
    build, known = bundler(project, cache), {"two": {"schema": {"type": "object"}}}
    alone, together = build.bundle("one"), build.bundle("one", (), known)
    with zipfile.ZipFile(together.path) as archive:
        assert json.loads(archive.read("tasks.json")) == known
    with zipfile.ZipFile(alone.path) as archive:
        assert json.loads(archive.read("tasks.json")) == {}
    changed = build.bundle("one", (), {"two": {"schema": {"type": "array"}}})
    assert len({alone.digest, together.digest, changed.digest}) == 3


def test_a_tasks_own_requirements_are_pinned_by_the_root(project, cache, repository):
    (project / "functions" / "two" / "requirements.txt").write_text("# images\npillow  # WebP\n")
    bundle = bundler(project, cache).bundle("two")
    assert any(name.startswith("PIL/") for name in names(bundle))
    with zipfile.ZipFile(bundle.path) as archive:
        version = json.loads(archive.read("bundle.json"))["packages"]["pillow"]
    assert ("pillow", version) in {(pin.name, pin.version) for pin in read_lock(repository / "requirements.txt")}


def test_packages_are_installed_once_for_all_tasks(project, cache):
    build = bundler(project, cache)
    build.bundle("one")
    build.bundle("two")
    build._wheels._install = None  # would fail if it were called
    (project / "functions" / "one" / "words.py").write_text("# new")
    build.bundle("one")


def test_old_archives_of_a_task_are_forgotten(project, cache):
    build = bundler(project, cache)
    for number in range(6):
        (project / "functions" / "one" / "words.py").write_text(f"N = {number}")
        newest = build.bundle("one").path
    kept = list(newest.parent.glob("one-*.zip"))
    assert newest in kept
    assert len(kept) <= 3


def test_what_cannot_be_installed_is_named(project, tmp_path):
    (project / "functions" / "one" / "requirements.txt").write_text("./not-a-package-of-any-index\n")
    with pytest.raises(DefinitionError, match="cannot install"):
        Bundler(project, HERE, cache=tmp_path / "cache").bundle("one")


def test_a_missing_lock_is_named(project, tmp_path):
    with pytest.raises(DefinitionError, match=r"requirements.txt is missing"):
        Bundler(project, HERE, lock=tmp_path / "requirements.txt")


def test_lambda_brings_the_sdk_unless_a_task_pins_it(project, cache):
    build = Bundler(project, replace(HERE, has_sdk=True), cache=cache)
    assert "boto3" not in {package_name(line) for line in build._requirements(["one"])}
    (project / "functions" / "one" / "requirements.txt").write_text("boto3\n")
    assert "boto3" in build._requirements(["one"])


def test_the_librarys_requirements_are_the_packages_own(repository):
    wanted = {package_name(line) for line in library_requirements(repository / "pyproject.toml")}
    assert {"boto3", "pydantic", "cronsim", "aws-lambda-powertools"} <= wanted
    assert "aws-cdk-lib" not in wanted


def test_requirement_files_are_read_without_comments(tmp_path):
    path = tmp_path / "requirements.txt"
    path.write_text("# one\npillow  # two\n\nurllib3\n")
    assert task_requirements(path) == ["pillow", "urllib3"]
    assert task_requirements(tmp_path / "absent.txt") == []


def test_every_task_of_the_repository_finds_its_requirements_pinned(repository):
    pinned = {pin.name for pin in read_lock(repository / "requirements.txt")}
    for path in Path(repository / "functions").glob("*/requirements.txt"):
        assert {package_name(line) for line in task_requirements(path)} <= pinned, path
