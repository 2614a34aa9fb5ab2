"""A bundle of this folder's tasks, an AWS for it to speak to, and the emulator to run it under."""

from __future__ import annotations

import itertools
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from moto.server import ThreadedMotoServer

from infra.bundles import Bundler
from infra.stages import STAGES
from infra.targets import choose
from tests.rie.emulator import HOME, Function, install
from tests.rie.endpoint import REGION, Aws

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__).parent
KNOWN = {"probe": {"schema": {"type": "object", "properties": {"seconds": {"type": "number"}}}}}
"""What the manifest says of the tasks that the functions may enqueue."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.rie)
            if not sys.platform.startswith("linux"):
                item.add_marker(pytest.mark.skip(reason="the emulator is a Linux program"))


@pytest.fixture(scope="session")
def bundles(tmp_path_factory) -> Callable[[str], Path]:
    """Return the unpacked bundle of a task, built as the app builds it, read-only as on AWS."""
    bundler = Bundler(
        HERE, choose(next(stage for stage in STAGES if stage.on_host)), cache=HOME / ".offload" / "bundles"
    )
    made: dict[str, Path] = {}

    def get(task: str) -> Path:
        if task not in made:
            made[task] = tmp_path_factory.mktemp(task)
            with zipfile.ZipFile(bundler.bundle(task, (), KNOWN).path) as archive:
                archive.extractall(made[task])
            _lock(made[task], 0o555, 0o444)
        return made[task]

    yield get
    for folder in made.values():
        _lock(folder, 0o755, 0o644)  # pytest deletes old ones


def _lock(folder: Path, folders: int, files: int) -> None:
    for path in [folder, *folder.rglob("*")]:
        path.chmod(folders if path.is_dir() else files)


@pytest.fixture(scope="session")
def aws() -> Iterator[Aws]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    made = Aws(f"http://{host}:{port}")
    yield made
    made.close()
    server.stop()


@pytest.fixture(scope="session")
def start(aws, bundles, tmp_path_factory) -> Iterator[Callable[..., Function]]:
    """Return a starter of functions; they all end with the session."""
    installed, logs = install(), tmp_path_factory.mktemp("logs")
    started: list[Function] = []
    numbers = itertools.count()

    def begin(task: str = "probe", *, timeout: int = 30, soft_timeout: str = "2s") -> Function:
        variables = {
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_ENDPOINT_URL": aws.url,
            "OFFLOAD_TASK": task,
            "PROBE_SOFT_TIMEOUT": soft_timeout,
            "OFFLOAD_MANIFEST": aws.manifest.dump(),
        }
        log = logs / f"{task}-{next(numbers)}.log"
        started.append(Function(installed, bundles(task), timeout=timeout, variables=variables, log=log))
        return started[-1]

    yield begin
    for function in started:
        function.stop()


@pytest.fixture(scope="session")
def probe(start) -> Function:
    """A function with time enough, shared: most cases leave nothing behind but records."""
    return start()


@pytest.fixture(autouse=True)
def _new_queue(aws) -> None:
    aws.new_queue()
