"""A large payload lives on in the bucket for as long as its job may run."""

from __future__ import annotations

import pytest

from offload import Retry, State
from offload.core.errors import Refused, Unavailable
from tests.runtime.interference import outage
from tests.runtime.scripted_task import ScriptedTask, fail, run_again_in

LARGE = "x" * 300_000


@pytest.mark.parametrize(("days", "again"), [(13, 0), (15, 1), (300, 1)])
def test_an_old_payload_is_written_again_when_it_is_read(deploy, days, again):
    work = ScriptedTask(retry=Retry(max_attempts=1))
    pipeline = deploy(work)

    job = work.options(delay=f"{days}d").delay(LARGE)
    ((stored, _),) = pipeline.blobs.called("put")
    pipeline.run_until_idle()

    assert job.status() is State.SUCCEEDED
    written = [key for key, _ in pipeline.blobs.called("put") if key.startswith("payloads/")]
    assert written == [stored] * (1 + again)


def test_each_attempt_of_an_old_job_keeps_its_payload_alive(deploy):
    work = ScriptedTask(retry=Retry(max_attempts=3, jitter=False))
    work.on_run(1, fail)
    work.on_run(2, fail)
    pipeline = deploy(work)

    work.options(delay="20d").delay(LARGE)
    pipeline.run_until_idle()

    assert work.attempts == [1, 2, 3]
    assert len([key for key, _ in pipeline.blobs.called("put") if key.startswith("payloads/")]) == 4


def test_a_payload_is_as_old_as_its_job_when_a_copy_of_its_message_waits(deploy):
    """The copy waits for five days, and its message was sent just now; but the payload is ten days old."""
    work = ScriptedTask(retry=Retry(max_attempts=2))
    work.on_run(1, run_again_in("5d"))
    pipeline = deploy(work)
    work.options(delay="10d").delay(LARGE)
    pipeline.advance("10d")
    pipeline.advance("1h")
    written = [key for key, _ in pipeline.blobs.called("put") if key.startswith("payloads/")]
    assert work.attempts == [1]
    assert len(written) == 2, "the copy has it anew"

    pipeline.run_until_idle()
    assert work.attempts == [1, 2]


@pytest.mark.parametrize("error", [Unavailable("no answer"), Refused("denied")])
def test_a_job_runs_although_its_payload_cannot_be_written_again(deploy, error):
    work = ScriptedTask(retry=Retry(max_attempts=1))
    pipeline = deploy(work)
    job = work.options(delay="20d").delay(LARGE)

    pipeline.clock.advance(20 * 86_400 + 60)
    with outage(pipeline.blobs, "put", error, where=lambda key, _: key.startswith("payloads/")):
        pipeline.poll()

    assert (job.status(), work.attempts) == (State.SUCCEEDED, [1])
