"""What somebody who replaced a package's file can get installed. No network is needed: the files lie in a folder."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import sys
import zipfile

import pytest

from infra import targets
from infra.bundles import Bundler
from infra.lock import Pin
from infra.stages import Stage
from infra.wheels import Wheels
from offload import DefinitionError
from offload.local import tools
from offload.local.layout import Layout

HERE = targets.choose(Stage("local", log_days=1, on_host=True))


def wheel(folder, name, code, requires=()):
    """Write a wheel; returns its hash as a lock names it."""
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}.py": code,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
        + "".join(f"Requires-Dist: {each}\n" for each in requires),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip('=')},{len(text)}\n"
        for path, text in files.items()
    )
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n"
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in files.items():
            archive.writestr(file, text)
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


@pytest.fixture
def index(tmp_path, monkeypatch):
    """The only place that packages come from: `top`, which needs `leaf`."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("UV_FIND_LINKS", str(folder))
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    hashes = {"leaf": wheel(folder, "leaf", "N = 1"), "top": wheel(folder, "top", "import leaf", ["leaf"])}
    return folder, {name: Pin(name, "1.0", "", (each,)) for name, each in hashes.items()}


def test_what_is_locked_is_installed(index, tmp_path):
    _, pins = index
    archive = Wheels(HERE, list(pins.values()), tmp_path / "cache").archive(["top"])
    assert {"top.py", "leaf.py"} <= set(zipfile.ZipFile(archive).namelist())


@pytest.mark.parametrize("name", ["top", "leaf"])
def test_a_file_with_another_hash_is_not_bundled(index, tmp_path, name):
    """Its name, its version and its size are the same."""
    folder, pins = index
    wheel(folder, name, "N = 2" if name == "leaf" else "import evil", ["leaf"] if name == "top" else ())
    with pytest.raises(DefinitionError, match=r"(?i)hash"):
        Wheels(HERE, list(pins.values()), tmp_path / "cache").archive(["top"])
    assert not list((tmp_path / "cache").glob("*.zip"))


@pytest.mark.parametrize("name", ["top", "leaf"])
def test_one_changed_hash_in_the_lock_refuses_the_install(index, tmp_path, name):
    _, pins = index
    wrong = Pin(name, "1.0", "", ("sha256:" + "0" * 64,))
    with pytest.raises(DefinitionError, match=r"(?i)hash"):
        Wheels(HERE, list({**pins, name: wrong}.values()), tmp_path / "cache").archive(["top"])


@pytest.mark.parametrize("missing", ["top", "leaf"])
def test_a_package_that_is_not_locked_is_refused(index, tmp_path, missing):
    _, pins = index
    pins = [pin for name, pin in pins.items() if name != missing]
    with pytest.raises(DefinitionError, match=rf"{missing}==1\.0 is not locked.*make lock"):
        Wheels(HERE, pins, tmp_path / "cache").archive(["top"])


def test_a_task_may_lock_packages_of_its_own(index, tmp_path):
    _, pins = index
    folder = tmp_path / "functions" / "one"
    folder.mkdir(parents=True)
    (folder / "handler.py").write_text("")
    lock = tmp_path / "requirements.txt"
    lock.write_text(pins["leaf"].locked)
    build = Bundler(tmp_path, HERE, lock=lock, cache=tmp_path / "cache")
    build._library = []
    (folder / "requirements.txt").write_text("top\n")
    with pytest.raises(DefinitionError, match=r"top==1\.0 is not locked"):
        build.bundle("one")
    (folder / "requirements.txt").write_text(pins["top"].locked)
    with zipfile.ZipFile(build.bundle("one").path) as archive:
        assert {"top.py", "leaf.py"} <= set(archive.namelist())


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_the_engine_is_installed_by_hash(index, tmp_path, monkeypatch, installer):
    folder, pins = index
    requirements = tmp_path / "engine.txt"
    monkeypatch.setattr(tools, "ENGINE_REQUIREMENTS", requirements)
    if installer == "pip":
        monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    create, install = (argv for _, argv in tools._installation_commands(Layout(tmp_path, tmp_path / "state")))
    assert create[0] == sys.executable
    environment = {**os.environ, "PIP_FIND_LINKS": str(folder), "PIP_NO_INDEX": "1"}

    def run(argv):
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
        return done.returncode, done.stderr.lower()

    assert run(create)[0] == 0  # one environment for all cases, as it takes seconds to make
    for changed in ("top==1.0\n" + pins["leaf"].locked, pins["top"].locked.replace("sha256:", "sha256:0")[:-1]):
        requirements.write_text(changed)
        status, said = run(install)
        assert status != 0
        assert "hash" in said
    requirements.write_text("\n".join(pin.locked for pin in pins.values()))
    assert run(install)[0] == 0
