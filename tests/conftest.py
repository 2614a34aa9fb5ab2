from __future__ import annotations

import logging
from io import StringIO
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

# The same cases in every run: a new one is found by taking `derandomize` away, and stays as a case of its own.
settings.register_profile("same", deadline=None, derandomize=True, database=None)
settings.load_profile("same")

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from offload import Task
    from offload.testing import Pipeline


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
