from __future__ import annotations

import logging
import os
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

# The same cases in every run: a new one is found by taking `derandomize` away, and stays as a case of its own.
settings.register_profile("same", deadline=None, derandomize=True, database=None)
settings.load_profile("same")

ONE_PROCESS = ("e2e", "infra", "rie")
"""Folders whose tests share what takes long to set up."""

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from offload import Task
    from offload.testing import Pipeline


class _Scheduler(LoadScopeScheduling):
    """Hands out tests to the processes of pytest-xdist: one by one, or as a whole folder; the largest folder first."""

    def _split_scope(self, nodeid: str) -> str:
        folder = nodeid.split("/")[1]
        return folder if folder in ONE_PROCESS else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _Scheduler:
    return _Scheduler(config, log)


@pytest.fixture(scope="session", autouse=True)
def _unmeasured() -> None:
    """What tests start is not measured: coverage would be among the modules of processes asked what they load."""
    os.environ.pop("COVERAGE_PROCESS_CONFIG", None)


@pytest.fixture
def stage() -> Iterator[Callable[..., Pipeline]]:
    """Call it with tasks to get a `Pipeline` of them; `.delay()` goes there for the rest of the test.

    Its workers log as they do in Lambda, into `log`; dead letters are what many of these tests are about.
    """
    from offload.runtime.telemetry import Telemetry  # loads the worker, which most tests do without
    from offload.testing import Pipeline

    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    built: list[Pipeline] = []

    def build(*tasks: Task, seed: int = 7) -> Pipeline:
        log = StringIO()

        def telemetry(task: str) -> Telemetry:
            made = Telemetry(task)
            logging.getLogger().handlers[0].setStream(log)
            return made

        pipeline = Pipeline(*tasks, seed=seed, telemetry=telemetry)
        pipeline.log = log
        pipeline.expect_dead_letters()
        built.append(pipeline.__enter__())
        return pipeline

    yield build
    for pipeline in reversed(built):
        pipeline.close()
    root.handlers[:] = handlers
    root.setLevel(level)
