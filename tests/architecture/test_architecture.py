"""The house rules that a newcomer could break without noticing."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from offload.core.manifest import Manifest

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "shared" / "offload"
MODULES = sorted(LIBRARY.rglob("*.py"))
SDK = ("boto3", "botocore", "aws_cdk", "aws_lambda_powertools", "PIL")


def loaded_by(code: str, **environment: str) -> set[str]:
    """Return the top-level packages a fresh interpreter has loaded after some code."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys, json; print(json.dumps(sorted(sys.modules)))"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT / 'shared'}{os.pathsep}{ROOT}", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


# What costs time in botocore; Powertools names the bare package to add itself to the user agent.
HEAVY = {"botocore.session", "botocore.client", "botocore.loaders", "botocore.model", "urllib3"}


def packages(modules: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules}


def test_the_ladder_holds():
    done = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports"))],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "shared")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "code",
    ["import offload", "from offload import *", "from offload import Client, Cron, task"],
)
def test_importing_the_library_loads_no_sdk(code):
    assert not packages(loaded_by(code)) & {*SDK}


def test_a_plain_import_loads_no_cron_engine_and_no_client():
    loaded = loaded_by("import offload")
    assert not loaded & {"cronsim", "asyncio", "offload.client", "offload.aws", "click", "rich"}


def test_a_cold_start_loads_no_sdk():
    manifest = Manifest(
        stack="s",
        account="123456789012",
        region="eu-west-1",
        table="jobs",
        bucket="b",
        tasks={"send_email": {"priorities": ["default"]}},
        timers={"group": "g", "role": "r"},
    )
    loaded = loaded_by(
        "import offload.runtime.entry",
        OFFLOAD_TASK="send_email",
        OFFLOAD_MANIFEST=manifest.dump(),
        AWS_REGION="eu-west-1",
        AWS_ACCESS_KEY_ID="x",
        AWS_SECRET_ACCESS_KEY="x",
        LAMBDA_TASK_ROOT=str(ROOT),
    )
    assert not packages(loaded) & {"boto3", "aws_cdk", "PIL", "click", "rich", "cronsim"}
    assert not loaded & HEAVY
    assert not loaded & {"offload.client.client", "aws_lambda_powertools.utilities.idempotency.persistence.dynamodb"}


def test_powertools_is_left_whole_for_tasks_that_use_it():
    loaded_by(
        "import offload.runtime.worker\n"
        "from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer, idempotent\n"
        "from aws_lambda_powertools.utilities.batch import AsyncBatchProcessor, async_process_partial_response\n"
        "import asyncio, pydantic; asyncio.run; pydantic.BaseModel\n",
        AWS_DEFAULT_REGION="eu-west-1",
    )


ROOMS = {
    "boto3": {"aws"},
    "botocore": {"aws"},
    "aws_lambda_powertools": {"runtime"},
    "aws_cdk": set(),
}
"""Packages and the rooms of the library that may import them."""


@pytest.mark.parametrize("name", ROOMS)
def test_a_package_is_named_in_its_room_alone(name):
    found = {
        path.relative_to(LIBRARY).parts[0]
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        for imported in _imported(node)
        if imported.partition(".")[0] == name
    }
    assert found == ROOMS[name]


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []


NOT_REPLAYED = {
    "time": {"time", "time_ns", "sleep", "monotonic", "perf_counter", "process_time"},
    "datetime": {"now", "utcnow", "today"},
    "random": {"SystemRandom", "random", "uniform", "randint", "choice", "shuffle"},
    "uuid": {"uuid1", "uuid4"},
}
"""What reads the time or draws at random, by its module or class."""


def test_nothing_but_the_clock_reads_the_time_or_draws_at_random():
    """Time and randomness come through ports, or a run could not be replayed. What measures itself is named here."""
    # Timeouts of sockets go by the clock of the machine.
    own = {"core/clock.py", "core/ids.py", "runtime/usage.py", "aws/sockets.py"}
    guilty = {
        path.relative_to(LIBRARY).as_posix(): lines
        for path in MODULES
        if path.relative_to(LIBRARY).parts[0] != "local"  # it waits for real processes
        if (lines := [node.lineno for node in ast.walk(ast.parse(path.read_text())) if _is_not_replayed(node)])
    }
    assert set(guilty) == own, guilty


def _is_not_replayed(node: ast.AST) -> bool:
    if isinstance(node, ast.ImportFrom):
        return any(alias.name in NOT_REPLAYED.get(node.module or "", ()) for alias in node.names)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return node.attr in NOT_REPLAYED.get(node.value.id, ())
    return False


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(LIBRARY).as_posix())
def test_no_module_is_too_long_to_read(path):
    assert len(path.read_text().splitlines()) <= 400


def test_no_module_has_a_name_that_says_nothing():
    assert not {path.stem for path in MODULES} & {"utils", "util", "helpers", "common", "manager", "base", "misc"}


def test_everything_public_is_there_and_explained():
    import offload

    for name in offload.__all__:
        value = getattr(offload, name)
        assert (value.__doc__ or "").strip(), name
        for member, inner in vars(value).items() if isinstance(value, type) else ():
            if not member.startswith("_") and callable(inner):
                assert (inner.__doc__ or "").strip(), f"{name}.{member}"
    assert sorted(offload.__all__) == offload.__all__
    with pytest.raises(AttributeError, match="no attribute 'nope'"):
        offload.nope  # noqa: B018


def test_the_annotations_are_shipped():
    assert (LIBRARY / "py.typed").is_file()
