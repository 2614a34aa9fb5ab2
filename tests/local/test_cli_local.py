import json

import pytest
from click.testing import CliRunner

from offload.cli.local import local
from offload.local import record
from offload.local.record import Record


@pytest.fixture
def run(tmp_path, monkeypatch):
    (tmp_path / "cdk.json").touch()
    inner = tmp_path / "functions"
    inner.mkdir()
    monkeypatch.chdir(inner)
    monkeypatch.delenv("OFFLOAD_LOCAL_DIR", raising=False)
    return lambda *arguments: CliRunner().invoke(local, arguments)


def test_status_of_nothing_exits_with_3(run, tmp_path):
    shown = run("status", "--json")
    assert shown.exit_code == 3
    assert json.loads(shown.stdout) == {
        "running": False,
        "healthy": False,
        "deployed": False,
        "endpoint": None,
        "region": "us-east-1",
        "stack": None,
        "pid": None,
        "port": None,
        "since": None,
        "state_dir": str(tmp_path / ".offload" / "local"),
        "log": str(tmp_path / ".offload" / "local" / "engine.log"),
    }
    assert run("status").exit_code == 3


def test_env_of_nothing_prints_nothing_to_evaluate(run):
    shown = run("env")
    assert shown.exit_code == 3
    assert shown.stdout == ""
    assert "offload local up" in shown.stderr


def test_down_of_nothing_is_no_error(run):
    shown = run("down", "--json")
    assert shown.exit_code == 0
    assert json.loads(shown.stdout) == {"stopped": False, "deleted": False}


def test_down_delete_removes_what_was_kept(run, tmp_path):
    record.write(tmp_path / ".offload" / "local" / "engine.json", Record(port=4566))
    assert run("down", "--delete").exit_code == 0
    assert not (tmp_path / ".offload" / "local").exists()


def test_outside_of_a_project_is_one_clear_line(run, tmp_path, monkeypatch):
    (tmp_path / "cdk.json").unlink()
    shown = run("status")
    assert shown.exit_code == 1
    assert shown.stderr.startswith("Error: no cdk.json in ")
    assert shown.stderr.count("\n") == 1


def test_a_wait_for_nothing_ends_with_one_clear_line(run):
    shown = run("wait", "--timeout", "0s")
    assert shown.exit_code == 1
    assert shown.stderr == "Error: no local engine is running after 0s: look at what `offload local up` says\n"


def test_a_wait_of_no_time_is_refused(run):
    shown = run("wait", "--timeout", "soon")
    assert shown.exit_code == 1
    assert shown.stderr.startswith("Error: timeout='soon'")
