"""The pytest plugin: the fixtures `pipeline` and `eager`.

pytest loads this module in every environment that has Offload installed. So the module imports other modules of Offload
only when a test uses a fixture.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from datetime import datetime

    from offload.core.tasks.task import AnyTask
    from offload.testing.eager import Eager
    from offload.testing.pipeline import Pipeline


def pytest_configure(config: pytest.Config) -> None:
    """Let tests import the project's tasks, also where `pytest` is called in place of `python -m pytest`."""
    root = config.rootpath
    if str(root) not in sys.path and next(root.glob("functions/*/handler.py"), None) is not None:
        sys.path.insert(0, str(root))


@pytest.fixture(scope="session")
def offload_tasks(request: pytest.FixtureRequest) -> list[AnyTask[Any, Any]]:
    """Return the tasks that `pipeline` and `eager` deploy: those under the project's `functions/`, if it exists.

    Override this fixture in your `conftest.py` to deploy other tasks. A test can `deploy` more tasks.
    """
    from offload.core.tasks.registry import PACKAGE, discover

    root = request.config.rootpath
    return list(discover(root).values()) if (root / PACKAGE).is_dir() else []


@pytest.fixture
def offload_start() -> datetime | None:
    """Return where the virtual clock of `pipeline` and `eager` begins; None for the present.

    Override this fixture in your `conftest.py`, or in a test's module, to begin at an aware datetime of your own.
    """
    return None


@pytest.fixture
def pipeline(offload_tasks: list[AnyTask[Any, Any]], offload_start: datetime | None) -> Iterator[Pipeline]:
    """Deploy the project's tasks to a stack in memory, for one test; their invocations run beside each other."""
    from offload.testing.pipeline import Pipeline

    deployed = Pipeline(*offload_tasks, start=offload_start)
    with deployed:
        yield deployed
        deployed.expect_dead_letters()  # `pytest_pyfunc_call` has checked the dead letters already


@pytest.fixture
def eager(
    request: pytest.FixtureRequest, offload_tasks: list[AnyTask[Any, Any]], offload_start: datetime | None
) -> Iterator[Eager]:
    """Let `.delay()` run jobs inline, for one test."""
    from offload.testing.eager import Eager

    if "pipeline" in request.fixturenames:
        pytest.fail(
            "a test takes `eager` or `pipeline`, not both: each is a stack of its own, and `.delay()` goes to one. "
            "Take `pipeline`, and call pipeline.run_until_idle() where jobs are to run",
            pytrace=False,
        )
    deployed = Eager(*offload_tasks, start=offload_start)
    with deployed:
        yield deployed
        deployed.expect_dead_letters()


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Check dead letters at the end of a test, so that unexpected ones fail the test and not its teardown."""
    __tracebackhide__ = True
    outcome = yield
    for name in ("pipeline", "eager"):
        check = getattr(pyfuncitem.funcargs.get(name), "check_dead_letters", None)
        if check is not None:
            check()
    return outcome
