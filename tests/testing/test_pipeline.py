"""The pipeline in memory as its users see it."""

from __future__ import annotations

import asyncio
import time
from contextvars import ContextVar

import pytest

from offload import (
    Hooks,
    Permanent,
    ResultTimeout,
    Retry,
    SoftTimeLimitExceeded,
    State,
    Unavailable,
    UnknownTask,
    current_job,
    task,
    use,
)
from offload.core.enqueueing.producer import current_producer
from offload.core.manifest import queue_name
from offload.core.retention import DAY
from offload.testing import DeadLettered, Eager, Faults, Killed, Pipeline, WaitsForEver


@task(retry=Retry(max_attempts=3, base="1m", jitter=False))
def flaky(failures: int = 0) -> int:
    if current_job().attempt <= failures:
        raise ValueError("not yet")
    return current_job().attempt


@task
def doomed() -> None:
    raise Permanent("no")


def run_doomed(pipeline):
    doomed.delay()
    pipeline.run_until_idle()


def test_nothing_runs_before_time_is_given():
    with Pipeline(flaky) as pipeline:
        job = flaky.delay()
        assert job.status() is State.PENDING
        pipeline.advance(0)
        assert job.result(0) == 1


def test_advance_runs_what_falls_due_and_no_more():
    with Pipeline(flaky) as pipeline:
        job = flaky.delay(2)
        pipeline.advance("59s")
        assert pipeline.states(job.id) == ["PENDING/0", "RUNNING/1", "RETRYING/1"]
        pipeline.advance("1s")
        assert [run.attempt for run in pipeline.runs] == [1, 2]
        pipeline.run_until_idle()
        assert [run.at - pipeline.runs[0].at for run in pipeline.runs] == [0, 60_000, 180_000]
        assert job.result(0) == 3


def test_a_dead_letter_is_refused_at_the_end_with_its_reason():
    pipeline = Pipeline(doomed)
    with (
        pytest.raises(DeadLettered, match=r"doomed: job \S+ is FAILED: Permanent: no \(File .*test_pipeline.py"),
        pipeline,
    ):
        run_doomed(pipeline)


@pytest.mark.parametrize("named", [(), ("doomed",)])
def test_an_expected_dead_letter_is_not(named):
    with Pipeline(doomed, flaky) as pipeline:
        pipeline.expect_dead_letters(*named)
        doomed.delay()
        pipeline.run_until_idle()
        (letter,) = pipeline.dead_letters()
        assert (letter.task, letter.job.state) == ("doomed", State.FAILED)


def test_a_dead_letter_of_another_task_is_still_refused():
    pipeline = Pipeline(doomed, flaky)
    pipeline.expect_dead_letters("flaky")
    with pytest.raises(DeadLettered), pipeline:
        run_doomed(pipeline)


def test_the_tests_own_failure_is_not_hidden_by_dead_letters():
    def fail():
        run_doomed(pipeline)
        raise ZeroDivisionError

    pipeline = Pipeline(doomed)
    with pytest.raises(ZeroDivisionError), pipeline:
        fail()


def test_the_client_in_force_comes_back():
    before = object()
    use(before)
    try:
        with Pipeline(flaky), Pipeline(doomed) as inner:
            assert current_producer() is inner.client
        assert current_producer() is before
    finally:
        use(None)


def test_queues_are_named_as_in_a_deployed_stack():
    with Pipeline(flaky) as pipeline:
        assert pipeline.queue() == queue_name("test", "flaky")


def test_virtual_sleep_meets_the_soft_limit(monkeypatch):
    @task(timeout="1m", soft_timeout="30s", retry=Retry(max_attempts=1))
    def slow() -> str:
        try:
            time.sleep(45)
        except SoftTimeLimitExceeded:
            time.sleep(5)  # time to clean up
            return "cleaned up"
        return "slept"

    with Pipeline(slow) as pipeline:
        monkeypatch.setattr(time, "sleep", pipeline.clock.sleep)
        began = pipeline.clock.now()
        job = slow.delay()
        pipeline.run_until_idle()
        assert job.result(0) == "cleaned up"
        assert job.record().finished_at - began == 35_000


def test_virtual_sleep_meets_the_hard_limit(monkeypatch):
    @task(timeout="1m", soft_timeout="30s", retry=Retry(max_attempts=2))
    def stubborn() -> str:
        while current_job().attempt == 1:
            try:
                time.sleep(20)
            except SoftTimeLimitExceeded:
                continue
        return "the second time"

    with Pipeline(stubborn) as pipeline:
        monkeypatch.setattr(time, "sleep", pipeline.clock.sleep)
        job = stubborn.delay()
        pipeline.run_until_idle()
        assert pipeline.states(job.id) == ["PENDING/0", "RUNNING/1", "RUNNING/2", "SUCCEEDED/2"]
        assert pipeline.runs[1].at - pipeline.runs[0].at == 6 * 60_000  # the queue's visibility timeout


def test_kill_ends_the_process_of_the_task():
    @task(retry=Retry(max_attempts=2))
    def dies() -> str:
        if current_job().attempt == 1:
            try:
                pipeline.kill()
            finally:
                with pytest.raises(Killed):
                    current_job().progress(1)  # a dead process makes no requests
        return "again"

    with Pipeline(dies) as pipeline:
        job = dies.delay()
        pipeline.run_until_idle()
        assert (job.result(0), job.record().attempt) == ("again", 2)
        with pytest.raises(RuntimeError, match="call it in a task"):
            pipeline.kill()


def test_a_process_that_is_killed_in_a_hook_runs_nothing_any_more():
    class Kills(Hooks):
        def before_run(self, job):
            if job.attempt == 1:
                pipeline.kill()

    with Pipeline(flaky, hooks=lambda _task: [Kills()]) as pipeline:
        job = flaky.delay()
        pipeline.run_until_idle()
        assert [run.attempt for run in pipeline.runs] == [2]
        assert job.result(0) == 2


def test_a_request_fails_when_told_to():
    with Pipeline(flaky) as pipeline:
        pipeline.store.fail("apply", Unavailable("throttled"), skip=1, times=2)
        job = flaky.delay()
        pipeline.run_until_idle()
        assert (job.result(0), job.record().attempt) == (1, 1)
        assert any("!! Unavailable" in str(entry) for entry in pipeline.trace)


def test_a_defect_of_the_worker_is_no_quiet_retry():
    with Pipeline(flaky) as pipeline:
        pipeline.queues.fail("change_visibility", ZeroDivisionError("a bug"))
        flaky.delay(1)
        with pytest.raises(AssertionError, match="the worker itself failed") as caught:
            pipeline.run_until_idle()
        assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_what_never_rests_is_found():
    @task
    def endless() -> None:
        pipeline.send('{"payload": {}}')

    with Pipeline(endless) as pipeline:
        pipeline.most_steps = 50
        endless.delay()
        with pytest.raises(AssertionError, match="does not come to rest"):
            pipeline.run_until_idle()


def test_jobs_lists_every_job_oldest_first():
    with Pipeline(flaky) as pipeline:
        first = flaky.delay()
        pipeline.advance("1s")
        second = flaky.options(delay="1h").delay()
        assert [(job.id, job.state) for job in pipeline.jobs] == [
            (first.id, State.SUCCEEDED),
            (second.id, State.SCHEDULED),
        ]


@pytest.mark.usefixtures("pipeline")
def test_the_fixture_deploys_the_projects_tasks(pipeline):
    assert {"send_email", "deliver_webhook", "resize_image"} <= set(pipeline.tasks)


def test_a_test_that_waits_for_what_nobody_runs_is_told_what_to_call():
    with Pipeline(flaky) as pipeline:
        job = flaky.delay()
        for wait in (job.result, job.wait):
            with pytest.raises(WaitsForEver, match=r"is PENDING, .* call pipeline\.run_until_idle\(\)"):
                wait()
        with pytest.raises(ResultTimeout):
            job.result(timeout=5)
        pipeline.run_until_idle()
        assert (job.result(), job.wait().state) == (1, State.SUCCEEDED)


def test_an_asynchronous_test_that_waits_is_told_too():
    async def check():
        with Pipeline(flaky):
            job = flaky.delay()
            with pytest.raises(WaitsForEver):
                await job.aresult()

    asyncio.run(check())


def test_a_task_that_waits_for_another_job_gets_its_result_or_reaches_its_soft_limit():
    @task(retry=Retry(max_attempts=1), timeout="1m")
    def outer(delay: int) -> int:
        return plain.options(delay=delay).delay().result()

    @task
    def plain() -> int:
        return 7

    with Pipeline(outer, plain) as pipeline:
        pipeline.expect_dead_letters("outer")
        soon, late = outer.delay(5), outer.delay(600)
        pipeline.run_until_idle()
        assert soon.result() == 7
        assert late.record().error["type"] == "SoftTimeLimitExceeded"


# Invocations run beside each other, as many as the task's `max_concurrency`


@task(batch_size=1, max_concurrency=3, expires="60s")
async def slow(name: str = "") -> None:
    await asyncio.sleep(25)


@pytest.mark.parametrize("faults", [None, Faults.none(1)])
def test_as_many_invocations_run_at_once_as_the_task_has_workers(faults):
    with Pipeline(slow, faults=faults) as pipeline:
        jobs = [slow.delay() for _ in range(12)]
        began_at = pipeline.clock.now()
        pipeline.run_until_idle()

    seconds = [round((run.at - began_at) / 1000) for run in pipeline.runs]
    assert seconds == [0] * 3 + [25] * 3 + [50] * 3
    assert [job.status() for job in jobs] == [State.SUCCEEDED] * 9 + [State.EXPIRED] * 3


def test_a_job_that_runs_goes_on_when_more_time_passes():
    with Pipeline(slow) as pipeline:
        job = slow.delay()
        pipeline.advance("10s")
        assert (job.status(), len(pipeline.waiting())) == (State.RUNNING, 1)
        pipeline.advance("15s")
        assert (job.status(), len(pipeline.waiting())) == (State.SUCCEEDED, 0)


def test_a_pipeline_ends_beside_a_job_that_runs():
    with Pipeline(slow) as pipeline:
        job = slow.delay()
        pipeline.advance("10s")
    assert job.status() is State.RUNNING
    assert pipeline.mapping().active == 0


def test_jobs_without_a_wait_run_in_the_order_in_which_they_came():
    ran = []

    @task(batch_size=2)
    def quick(number: int) -> None:
        ran.append(number)

    with Pipeline(quick) as pipeline:
        quick.delay_many([{"number": number} for number in range(50)])
        pipeline.run_until_idle()
    assert ran == list(range(50))


def test_an_asynchronous_test_has_its_event_loop_beside_a_job_that_runs():
    async def check():
        with Pipeline(slow) as pipeline:
            job = slow.delay()
            pipeline.advance("10s")
            await asyncio.sleep(0.001)  # it asks for the loop
            assert job.status() is State.RUNNING

    asyncio.run(check())


def test_a_job_that_waits_in_a_thread_does_not_stop_those_beside_it():
    @task(retry=Retry(max_attempts=1), timeout="1m")
    async def outer() -> None:
        await (await slow.options(delay="1h").adelay()).aresult()

    with Pipeline(outer, slow) as pipeline:
        pipeline.expect_dead_letters("outer")
        first = slow.delay()
        pipeline.advance("1s")
        outer.delay()
        pipeline.run_until_idle()
        assert pipeline.states(first.id) == ["PENDING/0", "RUNNING/1", "SUCCEEDED/1"]
        assert pipeline.mapping("slow").active == 0


@pytest.mark.parametrize("mode", [Eager, Pipeline])
def test_a_task_sees_the_context_variables_of_the_test(mode):
    tenant = ContextVar("tenant", default="nobody")

    @task
    def see() -> str:
        return tenant.get()

    tenant.set("acme")
    with mode(see) as pipeline:
        job = see.delay()
        pipeline.run_until_idle()
        assert job.result() == "acme"


def test_dead_letters_of_a_task_that_is_not_there_cannot_be_expected():
    with (
        Pipeline(doomed, flaky) as pipeline,
        pytest.raises(UnknownTask, match=r"expect_dead_letters\('domed'\).* \(did you mean 'doomed'\?\); there are"),
    ):
        pipeline.expect_dead_letters("domed")


def test_the_queues_and_the_bucket_keep_what_the_deployed_ones_keep():
    with Pipeline(flaky) as pipeline:
        pipeline.expect_dead_letters()
        pipeline.send("{}")
        pipeline.blobs.port.put("results/7d/flaky/a.json", b"1")
        pipeline.blobs.port.put("elsewhere/a.json", b"1")
        pipeline.clock.advance(7 * DAY - 1)
        assert len(pipeline.waiting()) == 1
        pipeline.clock.advance(1)
        assert pipeline.waiting() == []
        pipeline.clock.advance(2 * DAY)
        assert pipeline.blobs.port.keys() == ["elsewhere/a.json"]


def test_a_record_is_deleted_days_after_its_life():
    with Pipeline(flaky) as pipeline:
        job = flaky.delay()
        pipeline.run_until_idle()
        pipeline.clock.advance(36 * DAY)
        assert pipeline.record(job.id) is not None
        pipeline.clock.advance(2 * DAY)
        assert pipeline.record(job.id) is None


def test_a_queue_with_too_many_messages_in_flight_stands_still():
    with Pipeline(flaky) as pipeline:
        pipeline.queues.port.most_in_flight = 3
        jobs = [flaky.delay(1) for _ in range(5)]
        pipeline.advance("59s")
        assert len(pipeline.runs) <= 5
        pipeline.run_until_idle()
        assert [job.result() for job in jobs] == [2] * 5


@pytest.mark.parametrize("timeout", [5, "5s", "365d"])
def test_a_test_that_waits_with_a_timeout_is_told_too_and_at_once(timeout):
    with Pipeline(flaky) as pipeline:
        job = flaky.delay()
        looks = len(pipeline.store.called("get"))
        with pytest.raises(ResultTimeout, match=r"is PENDING after \S+; .* call pipeline\.run_until_idle\(\)"):
            job.result(timeout=timeout)
        with pytest.raises(ResultTimeout, match=r"call pipeline\.run_until_idle\(\)"):
            asyncio.run(job.aresult(timeout=timeout))
        assert len(pipeline.store.called("get")) - looks == 4, "no look while nothing runs"
