"""Ctrl-C while a task runs ends the test."""

from __future__ import annotations

import os
import signal

import pytest

from offload import Hooks, Retry, State, current_job, task
from offload.testing import Eager, Faults, Pipeline


@pytest.fixture(autouse=True)
def _keyboard():
    """Have Ctrl-C raise an error, also where these tests run in the background: a shell lets such a job ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@task(retry=Retry(max_attempts=3, base="1s"))
def interrupted(swallow: bool = False) -> None:
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except KeyboardInterrupt:
        if not swallow:
            raise


@pytest.mark.parametrize("faults", [None, Faults.none()])
@pytest.mark.parametrize("swallow", [False, True])
def test_it_ends_a_pipelines_test(swallow, faults):
    before = signal.getsignal(signal.SIGINT)
    with Pipeline(interrupted, faults=faults) as pipeline:
        job = interrupted.delay(swallow)
        interrupted.delay()
        with pytest.raises(KeyboardInterrupt):
            pipeline.run_until_idle()
        assert (pipeline.runs[0].attempt, pipeline.runs[-1].attempt) == (1, 1)
        assert job.status() is (State.SUCCEEDED if swallow else State.RUNNING)
    assert signal.getsignal(signal.SIGINT) is before


def test_it_ends_a_test_of_eager():
    with Eager(interrupted) as eager:
        with pytest.raises(KeyboardInterrupt):
            interrupted.delay()
        assert len(eager.runs) == 1


def test_it_ends_a_test_from_within_a_hook():
    class Interrupting(Hooks):
        def before_run(self, job):
            os.kill(os.getpid(), signal.SIGINT)

    with Pipeline(interrupted, hooks=lambda _task: [Interrupting()]) as pipeline:
        interrupted.delay()
        with pytest.raises(KeyboardInterrupt):
            pipeline.run_until_idle()


def test_a_task_that_raises_it_itself_has_failed():
    @task(retry=Retry(max_attempts=2, base="1s"))
    def raising() -> int:
        if current_job().attempt == 1:
            raise KeyboardInterrupt
        return 2

    with Pipeline(raising) as pipeline:
        job = raising.delay()
        pipeline.run_until_idle()
        assert job.result() == 2
