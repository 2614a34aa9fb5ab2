from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

# The same cases in every run: a new one is found by taking `derandomize` away, and stays as a case of its own.
settings.register_profile("same", deadline=None, derandomize=True, database=None)
settings.load_profile("same")

ONE_PROCESS = ("e2e", "infra", "rie")
"""Folders whose tests share what takes long to set up."""

ACCOUNT = ("AWS_", "OFFLOAD_")
"""How the variables begin that say which AWS, or which stack, a program uses."""

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from offload import Hooks
    from offload.core.tasks.task import AnyTask
    from offload.testing import Pipeline
    from tests.runtime.observing_hooks import Recorder
    from tests.runtime.worker_log import WorkerLog


class _Scheduler(LoadScopeScheduling):
    """Hands out tests to the processes of pytest-xdist: one by one, or as a whole folder; the largest folder first."""

    def _split_scope(self, nodeid: str) -> str:
        folder = nodeid.split("/")[1]
        return folder if folder in ONE_PROCESS else nodeid


def pytest_xdist_auto_num_workers() -> int:
    """Return one process more than there are cores: `tests/e2e` waits most of the time, and has one to itself."""
    return (os.cpu_count() or 1) + 1


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _Scheduler:
    return _Scheduler(config, log)


def pytest_configure() -> None:
    """Forget the developer's own account: no test may depend on it, or reach it."""
    for name in _account() - {name for name in os.environ if name.startswith("OFFLOAD_CONTRACT_")}:
        del os.environ[name]
    os.environ.update({"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull})


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, None, None]:
    """Fail a file whose tests leave an account in the environment: the files after it would use that account."""
    yield
    if nextitem is None or nextitem.path != item.path:
        left = {name for name in _account() if not name.endswith("_FILE") and "_CONTRACT_" not in name}
        if left:
            pytest.fail(f"{item.path.name} leaves {', '.join(sorted(left))} in the environment")


def _account() -> set[str]:
    return {name for name in os.environ if name.startswith(ACCOUNT)}


@pytest.fixture(scope="session", autouse=True)
def _unmeasured() -> None:
    """What tests start is not measured: coverage would be among the modules of processes asked what they load."""
    os.environ.pop("COVERAGE_PROCESS_CONFIG", None)


@pytest.fixture(autouse=True)
def _same_time(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let every virtual clock begin at the same time, so that the library's tests are the same on every day.

    Tests of the tasks may be a user's, whose virtual clock begins at the present.
    """
    from offload.memory import clock

    with pytest.MonkeyPatch.context() as patch:  # not the test's own, which ends before the test's other fixtures
        if "functions" not in request.path.parts:
            patch.setattr(clock, "present", lambda: clock.START - 1)  # rounded up to the second
        yield


@pytest.fixture
def worker_log() -> Iterator[WorkerLog]:
    """Return what this test's workers log. After the test, the library's logger is as it was before."""
    from tests.runtime.worker_log import LIBRARY, WorkerLog, logger_restored

    with logger_restored(LIBRARY):
        yield WorkerLog()


@pytest.fixture
def deploy(worker_log: WorkerLog) -> Iterator[Callable[..., Pipeline]]:
    """Return a function that deploys tasks to a `Pipeline`; `.delay()` enqueues there for the rest of the test.

    The workers have the telemetry that they have in Lambda. Dead letters are expected: many tests are about them.
    """
    from offload.runtime.telemetry import Telemetry  # loads the worker, which most tests do without
    from offload.testing import Pipeline

    def telemetry(task: str) -> list[Telemetry]:
        hook = Telemetry(task)
        worker_log.capture()
        return [hook]

    with ExitStack() as deployed:

        def deploy_tasks(*tasks: AnyTask[Any, Any], seed: int = 7) -> Pipeline:
            pipeline = Pipeline(*tasks, seed=seed, hooks=telemetry)
            pipeline.expect_dead_letters()
            return deployed.enter_context(pipeline)

        yield deploy_tasks


@pytest.fixture
def register() -> Iterator[Callable[..., None]]:
    """Return a function that registers hooks for the rest of the test."""
    from offload import add_hooks, remove_hooks

    registered: list[Hooks] = []

    def register_hooks(*hooks: Hooks) -> None:
        registered.extend(hooks)
        add_hooks(*hooks)

    yield register_hooks
    remove_hooks(*registered)


@pytest.fixture
def recorder(register: Callable[..., None]) -> Recorder:
    """Return hooks that are registered for the test and note how they are called."""
    from tests.runtime.observing_hooks import Recorder

    hooks = Recorder()
    register(hooks)
    return hooks
