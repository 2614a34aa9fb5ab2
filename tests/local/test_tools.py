from concurrent.futures import ThreadPoolExecutor

import pytest

from offload.local import tools
from offload.local.errors import LocalError
from offload.local.layout import Layout
from offload.local.progress import Silent


@pytest.fixture
def path(tmp_path, monkeypatch):
    """A PATH that holds what is written into it, and a shell to run that."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def write(name, script):
        program = folder / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    return write


def test_an_old_python_is_refused_in_one_line():
    with pytest.raises(LocalError, match=r"^Python 3\.10 is too old: install Python 3\.11 or later$"):
        tools.check_python((3, 10))
    tools.check_python((3, 11))


def test_a_missing_node_is_refused_in_one_line(path):
    with pytest.raises(LocalError, match=r"^Node is missing \(no `node` on PATH\): install Node 20 or later[^\n]*$"):
        tools.check_node()


def test_an_old_node_is_refused_and_a_new_one_taken(path):
    path("node", "echo v18.20.1")
    with pytest.raises(LocalError, match=r"^Node v18\.20\.1 is too old: install Node 20 or later[^\n]*$"):
        tools.check_node()
    path("node", "echo v20.0.0")
    tools.check_node()


@pytest.mark.parametrize("script", ["echo segmentation fault; exit 139", "exit 0"])
def test_a_broken_node_is_refused(path, script):
    path("node", script)
    with pytest.raises(LocalError, match="--version"):
        tools.check_node()


def test_a_missing_npm_is_refused_before_anything_is_installed(path, tmp_path):
    path("node", "echo v22.1.0")
    with pytest.raises(LocalError, match="npm is missing"):
        tools.cdk(tmp_path, Silent())


def test_npm_runs_only_when_the_cdk_is_missing_or_of_another_version(path, tmp_path):
    path("node", "echo v22.1.0")
    path("npm", "echo $@ >> npm.log")
    (tmp_path / "package-lock.json").write_text('{"packages": {"node_modules/aws-cdk": {"version": "2.1.0"}}}')
    installed = tmp_path / "node_modules" / "aws-cdk" / "package.json"
    command = tmp_path / "node_modules" / ".bin" / "cdk"
    for folder in (installed.parent, command.parent):
        folder.mkdir(parents=True)
    command.touch()
    installed.write_text('{"version": "2.1.0"}')
    assert tools.cdk(tmp_path, Silent()) == command
    assert not (tmp_path / "npm.log").exists()
    installed.write_text('{"version": "2.0.0"}')
    tools.cdk(tmp_path, Silent())
    assert (tmp_path / "npm.log").read_text().startswith("ci ")


def test_a_program_that_fails_tells_what_it_said(tmp_path):
    with pytest.raises(LocalError, match="npm ci failed with status 7") as refused:
        tools.run_or_fail("npm ci", ["/bin/sh", "-c", "echo no such package; exit 7"], tmp_path, {}, None)
    assert "no such package" in str(refused.value)


def test_two_that_need_the_engine_at_once_install_it_once(tmp_path, monkeypatch):
    layout = Layout(tmp_path, tmp_path / "state")
    interpreter = layout.engine_python
    install = f"echo once >>{tmp_path}/installed && mkdir -p {interpreter.parent} && sleep 0.3 && touch {interpreter}"
    monkeypatch.setattr(tools, "_installation_commands", lambda _layout: [("install", ["/bin/sh", "-c", install])])
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _number: tools.engine(layout, Silent()), range(4)))
    assert found == [interpreter] * 4
    assert (tmp_path / "installed").read_text() == "once\n"
