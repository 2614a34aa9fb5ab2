from __future__ import annotations

import pytest

from offload import Retry, State
from tests.runtime.scripted_task import ScriptedTask, fail


@pytest.fixture
def work():
    """A task of two attempts, six hours apart."""
    retry = Retry(max_attempts=2, base="6h", cap="6h", jitter=False)
    return ScriptedTask(priorities=("default", "high"), retry=retry)


@pytest.fixture
def pipeline(deploy, work):
    return deploy(work)


@pytest.fixture
def failed(pipeline, work):
    """A job that has failed at both attempts, and would succeed now. Its message is in the dead-letter queue."""
    work.on_first_runs(2, fail, of="a")
    job = work.delay("a")
    pipeline.run_until_idle()
    assert work.attempts == [1, 2]
    assert job.status() is State.FAILED
    work.runs.clear()
    return job
