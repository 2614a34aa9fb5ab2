"""A bucket that does not answer costs no attempt; one that refuses fails the job, and says why."""

from __future__ import annotations

import pytest

from offload import Refused, Retry, State, Unavailable, current_job, task
from tests.runtime.interference import outage

LARGE = "x" * 10_000
"""A result that is too large for the record."""


def with_large_result(**settings):
    """Return a task whose result goes to the bucket; its `attempts` are those of its runs so far."""
    attempts = []

    @task(timeout="1m", soft_timeout="30s", **settings)
    def large() -> str:
        attempts.append(current_job().attempt)
        return LARGE

    large.attempts = attempts
    return large


def test_a_bucket_that_answers_again_costs_no_attempt(deploy):
    large = with_large_result(retry=Retry(max_attempts=1))
    pipeline = deploy(large)
    job = large.delay()

    pipeline.blobs.fail("put", Unavailable("slow down"), times=6)
    pipeline.poll()

    assert large.attempts == [1]
    assert job.result(0) == LARGE


def test_a_bucket_that_does_not_take_a_result_fails_the_attempt_with_the_reason(deploy, service_error):
    large = with_large_result(retry=Retry(max_attempts=3, base="10s", jitter=False))
    pipeline = deploy(large)
    job = large.delay()

    with outage(pipeline.blobs, "put", service_error):
        pipeline.run_until_idle()

    record, kind = job.record(), type(service_error).__name__
    assert large.attempts == [1, 2, 3]
    assert (record.state, record.error["type"], record.error["attempt"]) == (State.FAILED, kind, 3)
    assert record.error["message"] == f"the result of 10002 bytes could not be stored: {service_error}"
    assert pipeline.states(job.id).count("RETRYING/1") == 1
    assert len(pipeline.dead()) == 1


def test_a_refused_result_follows_the_retry_policy(deploy):
    large = with_large_result(retry=Retry(max_attempts=3, never=(Refused,)))
    pipeline = deploy(large)
    job = large.delay()

    pipeline.blobs.fail("put", Refused("AccessDenied"))
    pipeline.poll()

    assert (large.attempts, job.status()) == ([1], State.FAILED)


def test_a_bucket_that_never_answers_leaves_time_to_record_the_end(deploy):
    large = with_large_result(retry=Retry(max_attempts=1))
    pipeline = deploy(large)
    job = large.delay()
    began_at = pipeline.clock.now()

    with outage(pipeline.blobs, "put"):
        pipeline.poll()

    assert 53_000 < pipeline.clock.now() - began_at <= 58_000
    assert (job.status(), job.record().error["type"]) == (State.FAILED, "Unavailable")


@pytest.mark.parametrize(
    ("error", "state", "runs"),
    [
        (Unavailable("slow down"), State.SUCCEEDED, 1),
        (Refused("ExpiredToken", lasting=False), State.SUCCEEDED, 1),
        (Refused("NoSuchKey"), State.FAILED, 0),
    ],
    ids=["unavailable", "refused for now", "gone"],
)
def test_a_payload_that_cannot_be_read_now_is_told_from_one_that_is_gone(deploy, error, state, runs):
    started = []

    @task
    def size(text: str) -> int:
        started.append(1)
        return len(text)

    pipeline = deploy(size)
    job = size.delay("x" * 300_000)

    pipeline.blobs.fail("get", error)
    pipeline.run_until_idle()

    assert job.status() is state
    assert len(started) == runs
