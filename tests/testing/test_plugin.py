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


LOOP_SCOPE = ("-o", "asyncio_default_fixture_loop_scope=function")
"""What pytest-asyncio asks every project to choose."""


@pytest.fixture
def run_tests(tmp_path):
    """Return a function that runs tests, as `pytest` or as `python -m pytest`; returns what pytest printed."""
    (tmp_path / "functions" / "greet").mkdir(parents=True)
    (tmp_path / "functions" / "greet" / "handler.py").write_text(TASK)
    (tmp_path / "tests").mkdir()

    def run(code, *command):
        (tmp_path / "tests" / "test_greet.py").write_text(code)
        done = subprocess.run(
            [
                *(command or (sys.executable, "-m", "pytest")),
                "-q",
                "-W",
                "error",
                "-p",
                "no:cacheprovider",
                *LOOP_SCOPE,
            ],
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


ASYNC_TESTS = """
import pytest
from functions.greet.handler import greet
from offload import Client, Permanent, task
from offload.testing import WaitsForEver

client = Client.from_stack()
{mark}

@task
async def waits(seconds: float) -> str:
    import asyncio
    await asyncio.sleep(seconds)
    return "waited"

{first}
async def test_eager(eager):
    assert await (await greet.adelay("Ada")).aresult(timeout="5s") == "Hello Ada"
    assert greet.delay("Bob").result() == "Hello Bob"
    assert await (await client.aenqueue("greet", {{"name": "Eve"}})).aresult() == "Hello Eve"
    with pytest.raises(Permanent):
        await greet.adelay("nobody")

async def test_pipeline(pipeline):
    pipeline.deploy(waits)
    jobs = [*await greet.adelay_many(["Ada", "Bob"]), await waits.adelay(30)]
    with pytest.raises(WaitsForEver):
        await jobs[0].aresult()
    pipeline.run_until_idle()
    assert [await job.aresult() for job in jobs] == ["Hello Ada", "Hello Bob", "waited"]

async def test_a_dead_letter_fails_it(pipeline):
    await greet.adelay("nobody")
    pipeline.run_until_idle()
"""
OWN_PLUGIN = """
import asyncio, inspect, pytest

@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    if inspect.iscoroutinefunction(pyfuncitem.obj):
        names = pyfuncitem._fixtureinfo.argnames
        asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
        return True
"""
BACKEND = '@pytest.fixture\ndef anyio_backend():\n    return "asyncio"\n'


@pytest.mark.parametrize(
    ("plugin", "mark", "first"),
    [
        (None, "", ""),
        ("pytest_asyncio", "pytestmark = pytest.mark.asyncio", ""),
        ("anyio", "pytestmark = pytest.mark.anyio", BACKEND),
    ],
)
def test_asynchronous_tests_use_both_fixtures_whichever_plugin_runs_them(run_tests, tmp_path, plugin, mark, first):
    if plugin is None:
        (tmp_path / "conftest.py").write_text(OWN_PLUGIN)
    said = run_tests(ASYNC_TESTS.format(mark=mark, first=first))
    assert "1 failed, 2 passed" in said, said
    assert "greet: job" in said


def test_the_clock_begins_at_the_present_or_where_a_fixture_says(run_tests):
    said = run_tests("""
from datetime import UTC, datetime, timedelta
import pytest
from functions.greet.handler import greet
from offload import State

@pytest.mark.parametrize("fixture", ["eager", "pipeline"])
def test_an_eta(fixture, request):
    deployed = request.getfixturevalue(fixture)
    job = greet.options(eta=datetime.now(UTC) + timedelta(hours=1)).delay("Ada")
    deployed.advance("1h")
    assert job.status() is State.SUCCEEDED

class TestOfAnotherTime:
    @pytest.fixture
    def offload_start(self):
        return datetime(2031, 5, 5, tzinfo=UTC)

    def test_begins_there(self, pipeline):
        assert pipeline.clock.utc_now() == datetime(2031, 5, 5, tzinfo=UTC)
""")
    assert "3 passed" in said, said
