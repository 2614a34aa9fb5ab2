"""The pytest plugin, in a project of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

TASK = """
from offload import Permanent, task

@task
def greet(name: str) -> str:
    if name == "nobody":
        raise Permanent("nobody is there")
    return f"Hello {name}"

"""


@pytest.fixture
def run_tests(tmp_path):
    """Return a function that runs tests, as `pytest` or as `python -m pytest`; returns what pytest printed."""
    (tmp_path / "functions" / "greet").mkdir(parents=True)
    (tmp_path / "functions" / "greet" / "handler.py").write_text(TASK)
    (tmp_path / "tests").mkdir()

    def run(code, *command):
        (tmp_path / "tests" / "test_greet.py").write_text(code)
        done = subprocess.run(
            [*(command or (sys.executable, "-m", "pytest")), "-q", "-W", "error", "-p", "no:cacheprovider"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT / "shared")},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.stdout + done.stderr

    return run


def test_bare_pytest_finds_the_projects_tasks(run_tests):
    bare = shutil.which("pytest", path=str(Path(sys.executable).parent))
    said = run_tests(
        """
from functions.greet.handler import greet

def test_greets(eager):
    assert greet.delay("Ada").result() == "Hello Ada"
""",
        bare,
    )
    assert "1 passed" in said, said


def test_both_fixtures_at_once_are_refused(run_tests):
    said = run_tests("def test_both(eager, pipeline): pass\ndef test_too(pipeline, eager): pass\n")
    assert "2 errors" in said, said
    assert "a test takes `eager` or `pipeline`, not both" in said
    assert "call pipeline.run_until_idle() where jobs are to run" in said


def test_a_job_that_failed_unheard_fails_the_test_of_eager(run_tests):
    said = run_tests("""
from offload import enqueue, task

@task
def outer() -> None:
    enqueue("greet", {"name": "nobody"})

def test_unheard(eager):
    eager.deploy(outer)
    outer.delay()

def test_expected(eager):
    eager.deploy(outer)
    eager.expect_dead_letters("greet")
    outer.delay()

def test_looked_at(eager):
    eager.deploy(outer)
    eager.propagate = False
    outer.delay()
    assert len(eager.dead_letters()) == 1
""")
    assert "1 failed, 2 passed" in said, said
    assert "greet: job" in said
    assert "Permanent: nobody is there" in said
