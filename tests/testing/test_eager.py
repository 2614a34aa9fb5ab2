"""Jobs that run inline."""

from __future__ import annotations

import pytest

from offload import JobFailed, Permanent, ResultTimeout, Retry, RetryLater, State, current_job, enqueue, task
from offload.core.enqueueing.options import CheckedOptions
from offload.core.enqueueing.request import EnqueueRequest
from offload.testing import DeadLettered, Eager, WaitsForEver


@task(retry=Retry(max_attempts=3))
def flaky(failures: int = 0) -> int:
    if current_job().attempt <= failures:
        raise RetryLater("not yet", delay="1h") if failures == 1 else ValueError("not yet")
    return current_job().attempt


@pytest.mark.parametrize(("failures", "attempts"), [(0, 1), (1, 2), (2, 3)])
def test_retries_are_included(failures, attempts):
    with Eager(flaky):
        assert flaky.delay(failures).result(0) == attempts


def test_the_last_exception_surfaces_with_its_own_traceback():
    with Eager(flaky) as eager, pytest.raises(ValueError, match="not yet") as caught:
        flaky.delay(9)
    assert caught.traceback[-1].name == "flaky"
    assert [run.attempt for run in eager.runs] == [1, 2, 3]


def test_a_failed_job_can_be_looked_at_instead():
    with Eager(flaky) as eager:
        eager.propagate = False
        job = flaky.delay(9)
        assert (job.status(), job.record().error["type"]) == (State.FAILED, "ValueError")


def test_a_failed_job_is_retried_by_hand():
    with Eager(flaky) as eager:
        eager.propagate = False
        job = flaky.delay(9)
        assert [letter.job.id for letter in eager.dead_letters()] == [job.id]
        assert job.retry().state is State.FAILED
        eager.propagate = True
        with pytest.raises(ValueError, match="not yet"):
            job.retry()
        assert [run.attempt for run in eager.runs] == [1, 2, 3] * 3
        assert len(eager.dead_letters()) == 1
        assert eager.waiting() == []


def test_a_payload_the_task_refuses_surfaces_too():
    with Eager(flaky) as eager, pytest.raises(JobFailed, match="PayloadError"):
        eager.client.send(EnqueueRequest("flaky", {"nope": 1}, CheckedOptions()))


@pytest.mark.parametrize("delay", ["10s", "2h", "300d"])
def test_delays_are_skipped(delay):
    with Eager(flaky):
        assert flaky.options(delay=delay).delay().result(0) == 1


def test_many_run_in_order():
    with Eager(flaky) as eager:
        assert [job.result(0) for job in flaky.delay_many([0, 2, 0])] == [1, 3, 1]
        assert eager.waiting() == []


@task(retry=Retry(max_attempts=1))
def outer() -> list[str]:
    """Enqueues a job that fails, and one that does not."""
    lost, well = flaky.delay(9), enqueue("flaky", {"failures": 1})
    with pytest.raises(JobFailed, match="ValueError: not yet"):
        lost.result()
    assert well.result() == 2
    return [lost.id, well.id]


def test_a_job_that_a_task_enqueues_runs_inline_and_fails_alone():
    with Eager(outer, flaky) as eager:
        eager.expect_dead_letters("flaky")
        lost, well = outer.delay().result()
        assert (eager.job(lost).state, eager.job(well).state) == (State.FAILED, State.SUCCEEDED)
        assert [run.task for run in eager.runs].count("outer") == 1


def test_nobody_overlooks_the_failure_of_a_job_that_a_task_enqueued():
    with (
        pytest.raises(DeadLettered, match=r"1 unexpected dead letters.*\n.*flaky: job \S+ is FAILED: ValueError"),
        Eager(outer, flaky),
    ):
        outer.delay()


def test_follow_ups_run_and_their_failure_is_their_own():
    seen = []

    @task(on_success="after", on_failure="after", retry=Retry(max_attempts=1))
    def first(fail: bool = False) -> None:
        if fail:
            raise Permanent("no")

    @task(retry=Retry(max_attempts=1))
    def after(job: dict) -> None:
        seen.append(job["state"])
        raise KeyError("its own")

    with Eager(first, after) as eager:
        eager.expect_dead_letters("after")
        assert first.delay().status() is State.SUCCEEDED
        with pytest.raises(Permanent):
            first.delay(fail=True)
        assert seen == ["SUCCEEDED", "FAILED"]
        assert len(eager.errors) == 3


def test_a_job_that_is_rate_limited_takes_its_turn():
    from offload import RateLimit

    @task(rate_limit=RateLimit("1/m"))
    def slow() -> int:
        return current_job().attempt

    with Eager(slow) as eager:
        began = eager.clock.now()
        assert [slow.delay().result(0) for _ in range(3)] == [1, 1, 1]
        assert eager.clock.now() - began >= 115_000


def test_a_job_that_waits_for_itself_is_told():
    @task(retry=Retry(max_attempts=1))
    def endless() -> None:
        handle = eager.client.handle(current_job().id)
        with pytest.raises(ResultTimeout, match=r"is RUNNING after 10m; with `eager` .* it waits for itself"):
            handle.result(timeout="10m")
        handle.result()

    with Eager(endless) as eager, pytest.raises(WaitsForEver, match=r"is RUNNING, and with `eager`"):
        endless.delay()
