"""The pytest plugin: the fixtures `pipeline` and `eager`.

pytest loads it by its entry point in every environment that has Offload, so it imports nothing of it by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from offload.core.tasks import Task
    from offload.testing.eager import Eager
    from offload.testing.pipeline import Pipeline


@pytest.fixture(scope="session")
def offload_tasks(request: pytest.FixtureRequest) -> list[Task[Any, Any]]:
    """Return the tasks that `pipeline` and `eager` deploy: those of the project's `functions/`, if it has one.

    Override it in your `conftest.py` for others; a test can `deploy` more.
    """
    from offload.core.registry import PACKAGE, discover

    root = request.config.rootpath
    return list(discover(root).values()) if (root / PACKAGE).is_dir() else []


@pytest.fixture
def pipeline(offload_tasks: list[Task[Any, Any]]) -> Iterator[Pipeline]:
    """Deploy the project's tasks to a stack in memory, for one test."""
    from offload.testing.pipeline import Pipeline

    deployed = Pipeline(*offload_tasks)
    with deployed:
        yield deployed
        deployed.expect_dead_letters()  # the test has been asked already


@pytest.fixture
def eager(offload_tasks: list[Task[Any, Any]]) -> Iterator[Eager]:
    """Let `.delay()` run jobs inline, for one test."""
    from offload.testing.eager import Eager

    with Eager(*offload_tasks) as deployed:
        yield deployed


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Fail a test, not its teardown, over dead letters that it did not expect."""
    __tracebackhide__ = True
    outcome = yield
    deployed = pyfuncitem.funcargs.get("pipeline")
    check = getattr(deployed, "check_dead_letters", None)
    if check is not None:
        check()
    return outcome
