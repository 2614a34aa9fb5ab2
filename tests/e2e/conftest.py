"""The deployed stack on the embedded engine: one engine and one deploy for all end-to-end tests.

The project is deployed from a copy in which two kinds of folders were added under `functions/`: the tasks next to this
file, and the README's first example, taken from its text. The engine stops after the last test of this folder, and its
variables are set during these tests alone: the same process runs the tests of other folders before and after.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from offload.client import Client
from offload.local import environment
from offload.local.deploy import deploy
from offload.local.engine import Engine
from offload.local.layout import Layout

ROOT = Path(__file__).parents[2]
EXAMPLE = re.compile(r"<!-- example: (\S+) -->\n```python\n(.*?)```", re.DOTALL)


@dataclass(frozen=True)
class Stack:
    """A deployed stack: the project it came from, its engine, and a client."""

    project: Path
    engine: Engine
    client: Client

    def offload(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the command line as a user would."""
        command = [sys.executable, "-c", "from offload.cli import run; run()", *arguments]
        return subprocess.run(command, cwd=self.project, capture_output=True, text=True, timeout=120, check=False)


DEPLOYER = {
    "OFFLOAD_WEBHOOK_ALLOW_PRIVATE": "127.0.0.1",
    "OFFLOAD_WEBHOOK_PORTS": "1024-65535",
    "OFFLOAD_EMAIL_SENDER": "sender@example.com",
}
"""Variables of whoever deploys."""


@pytest.fixture(scope="session")
def deployed(tmp_path_factory):
    """Deploy once for all tests; each uses `stack`."""
    project = copy_project(tmp_path_factory.mktemp("project"))
    engine = Engine(Layout.find(project))
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in DEPLOYER.items():
                patch.setenv(name, value)
            engine.start()
            deploy(engine)
        yield Stack(project, engine, Client.from_stack(engine.env()["OFFLOAD_STACK"]))
    finally:
        engine.stop()


@pytest.fixture
def stack(request, deployed, monkeypatch):
    """Return the deployed stack; this test's process uses it, as a shell does after `offload local env`."""
    for name in environment.interfering():
        monkeypatch.delenv(name, raising=False)
    for name, value in deployed.engine.env().items():
        monkeypatch.setenv(name, value)
    # A session's fixtures end with the session; until then the engine would go on asking its queues for messages.
    request.node.getparent(pytest.Dir).addfinalizer(deployed.engine.stop)
    return deployed


def copy_project(folder: Path) -> Path:
    """Copy the project with what git would take, share what was installed, and add the tasks of these tests."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    files = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, files):
        if (ROOT / name).is_file() and not name.startswith("tests/"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    if (ROOT / "node_modules").is_dir():
        (folder / "node_modules").symlink_to(ROOT / "node_modules")
    # What was installed in the project's own state folder (engine, wheels) is shared; state is not.
    (ROOT / ".offload").mkdir(exist_ok=True)
    (folder / ".offload").mkdir()
    for installed in (ROOT / ".offload").iterdir():
        if installed.name == "bundles" or installed.name.startswith("engine-py"):
            (folder / ".offload" / installed.name).symlink_to(installed)
    shutil.copytree(Path(__file__).parent / "functions", folder / "functions", dirs_exist_ok=True)
    for path, code in EXAMPLE.findall((ROOT / "README.md").read_text(encoding="utf-8")):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(code, encoding="utf-8")
    return folder


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if here in Path(item.path).parents:
            item.add_marker(pytest.mark.engine)
