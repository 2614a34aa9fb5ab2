"""Somebody's own task, in their own style and with a schedule, next to the examples: every check and test passes.

The project is copied, and the commands of `make check` and the tests that look at tasks run in the copy.
"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.infra.conftest import SYNTH, Template, clean_environment

HANDLER = """
import json, boto3
from offload import task, Cron, Every

def upload(rows):
    boto3.client("s3").put_object(Bucket="b", Key="k", Body=rows)

def load(name):
    data = {'name': name, "rows": [i for i in range(3)]}
    print("loaded", data)
    return data

@task(timeout="30s", enqueues=("send_email",), priorities=("high", "default"),
  schedules=(Every("1h", payload={"name": "a"}), Cron("0 7 * * MON", timezone="Europe/Oslo")))
def weekly_report(name="all", most=10):
    rows = load(name)["rows"]
    if most > 3 : print("many")
    return json.dumps(rows)
"""

TESTS = """
from functions.weekly_report.handler import weekly_report

def test_it(capsys):
    assert weekly_report("x") == '[0, 1, 2]'
    assert "loaded" in capsys.readouterr().out

def test_it_as_a_job(eager):
    assert weekly_report.delay("x").result(timeout=1) == '[0, 1, 2]'
"""

CHECKS = ("ruff", "mypy")
"""The commands of `make check` that read the code of tasks; synth has a test of its own below."""

LOOKING_AT_TASKS = (
    "tests/functions/test_defaults.py",
    "tests/functions/test_weekly_report.py",
    "tests/core/tasks/test_registry.py",
    "tests/cli/test_tasks.py",
    "tests/infra/test_roles.py",
    "tests/infra/test_schedules.py",
    "tests/infra/test_stack.py",
    "tests/infra/test_task_pipeline.py",
)


@pytest.fixture(scope="module")
def project(repository, tmp_path_factory):
    """A copy of the project with one more task."""
    root = tmp_path_factory.mktemp("users") / "project"
    made = ("__pycache__", ".*_cache", ".venv", ".git", ".offload", ".hypothesis", "node_modules", "cdk.out", "build")
    shutil.copytree(repository, root, ignore=shutil.ignore_patterns(*made))
    (root / "functions" / "weekly_report").mkdir()
    (root / "functions" / "weekly_report" / "handler.py").write_text(HANDLER)
    (root / "tests" / "functions" / "test_weekly_report.py").write_text(TESTS)
    return root


def run(project, *command):
    """Run a program of the environment in the copy."""
    environment = clean_environment() | {
        "PYTHONPATH": f"{project / 'shared'}:{project}",
        "MYPYPATH": str(project / "shared"),
    }
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def commands_of_check(project):
    """Return the commands of `make check` that read the code of tasks, as the Makefile has them."""
    (recipe,) = re.findall(r"^check:.*\n((?:\t.*\n)+)", (project / "Makefile").read_text(), re.MULTILINE)
    lines = [line.strip().removeprefix("@$(BIN)/").split() for line in recipe.splitlines()]
    return [line for line in lines if line[0] in CHECKS]


def test_it_passes_the_checks(project):
    commands = commands_of_check(project)
    assert [command[:2] for command in commands] == [["ruff", "check"], ["ruff", "format"], ["mypy"]]
    commands[-1].append("functions/weekly_report/handler.py")  # all the rest takes mypy a minute
    for program, *arguments in commands:
        status, said = run(project, str(Path(sys.executable).with_name(program)), *arguments)
        assert status == 0, f"{program}: {said}"


def test_the_checks_still_find_what_is_wrong_in_it_and_every_style_in_the_library(project):
    ruff, mypy = (str(Path(sys.executable).with_name(program)) for program in ("ruff", "mypy"))
    wrong = project / "functions" / "weekly_report" / "extra.py"
    wrong.write_text("def f():\n    return undefined_name\n\ndef g(x: int) -> str:\n    return x\n")
    try:
        assert "F821" in run(project, ruff, "check", str(wrong))[1]
        assert "[return-value]" in run(project, mypy, str(wrong))[1]
    finally:
        wrong.unlink()
    library = project / "shared" / "offload" / "core" / "extra.py"
    library.write_text("def f(x):\n    print(x)\n")
    try:
        said = run(project, ruff, "check", str(library))[1]
        assert {"ANN001", "D103", "T201"} <= set(re.findall(r"\b[A-Z]+\d+\b", said))
    finally:
        library.unlink()


def test_it_is_deployed_with_its_schedules(project):
    out = project / "cdk.out"
    flags = json.loads((project / "cdk.json").read_text())["context"]
    status, said = run(project, sys.executable, "-c", SYNTH, str(project), str(out), json.dumps(flags))
    assert status == 0, said
    template = Template((out / "Offload.template.json").read_text())
    (rule,) = (
        item
        for item in template.all("AWS::Events::Rule").values()
        if item["Description"] == "Task weekly_report, schedule 0"
    )
    text = template.flat(rule["Targets"][0]["InputTransformer"]["InputTemplate"])
    assert json.loads(text)["payload"] == {"name": "a"}
    schedule = template.one("AWS::Scheduler::Schedule", Description="Task weekly_report, schedule 1")
    assert schedule["ScheduleExpressionTimezone"] == "Europe/Oslo"


def test_the_tests_pass(project):
    status, said = run(project, sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *LOOKING_AT_TASKS)
    assert status == 0, said[-3000:]
    assert re.search(r"\d+ passed", said)
