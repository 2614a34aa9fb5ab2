"""Stages and targets: what `-c` may say, and what follows."""

import sys

import pytest

from infra import stages, targets
from infra.stages import Stage
from offload import DefinitionError

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


def test_the_default_is_a_development_stack_named_offload():
    stage = stages.choose({}.get)
    assert (stage.name, stage.stack, stage.keeps_data, stage.alarm_email) == ("dev", "offload", False, None)


def test_production_keeps_its_data():
    assert stages.choose({"stage": "prod"}.get).keeps_data


def test_the_local_stage_mails_nobody():
    stage = stages.choose({"stage": "local", "alarm_email": "ops@example.org"}.get)
    assert stage.on_host
    assert stage.alarm_email is None


@pytest.mark.parametrize(
    "context",
    [{"stage": "test"}, {"stack": "UPPER"}, {"stack": "a" * 31}, {"stack": 7}, {"alarm_email": "nobody"}],
)
def test_a_wrong_value_is_named(context):
    (name,) = context
    with pytest.raises(DefinitionError, match=name):
        stages.choose(context.get)


def test_a_local_bundle_fits_this_machine():
    target = targets.choose(Stage("local", log_days=1, on_host=True))
    assert (target.python, target.wheels, target.has_sdk) == (HERE, None, False)
    assert target.interpreter == sys.executable
    assert target.bytecode


@pytest.mark.parametrize("python", ["3.12", "3.13", "3.14"])
def test_a_version_that_is_asked_for_is_taken(python):
    target = targets.choose(Stage("dev", log_days=1, python=python))
    assert (target.python, target.machine, target.wheels) == (python, "arm64", "aarch64-manylinux_2_34")
    assert target.has_sdk


def test_python_311_runs_on_an_older_glibc_and_is_never_the_default():
    assert targets.choose(Stage("dev", log_days=1, python="3.11")).wheels == "aarch64-manylinux_2_17"
    assert targets.choose(Stage("dev", log_days=1)).python == (HERE if HERE != "3.11" else targets.FALLBACK)


def test_a_python_that_lambda_has_not_is_refused():
    with pytest.raises(DefinitionError, match=r"python='3.9': Lambda has 3.11, 3.12"):
        targets.choose(Stage("dev", log_days=1, python="3.9"))


def test_a_shim_that_does_not_run_is_passed_over(tmp_path, monkeypatch):
    shim = tmp_path / "python3.14"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", str(tmp_path))
    target = targets.choose(Stage("dev", log_days=1, python="3.14"))
    assert HERE == "3.14" or (target.interpreter, target.bytecode) == (None, "")
