"""Hooks of a worker: when each is called, with what, and for which jobs it is not called."""

from __future__ import annotations

import asyncio
import json

import pytest

from offload import Hooks, Retry, State, add_hooks, current_job, remove_hooks, task
from offload.core.errors import LeaseLost
from offload.core.hooks import SERVICE_ERROR
from offload.core.tasks.context import running_job
from offload.testing import Pipeline
from offload.testing.event_source import Context
from tests.runtime.interference import NO_ANSWER, outage, to_record, to_state
from tests.runtime.observing_hooks import Recorder
from tests.runtime.scripted_task import ScriptedTask, fail

# A run


def test_a_job_that_runs_calls_its_hooks_in_this_order(deploy, recorder):
    work = ScriptedTask()
    pipeline = deploy(work)
    job = pipeline.send('{"payload": {"name": "a"}}')
    pipeline.clock.advance(7)

    pipeline.drain()

    assert recorder.calls == ["process_started", "before_run", "after_run", "invocation_ended"]
    ((name,), (before,), (after, report), ()) = recorder.arguments
    assert name == "work"
    assert (before.id, before.task, before.attempt) == (job, "work", 1)
    assert after is before
    assert (report.state, report.error) == (State.SUCCEEDED, None)
    assert set(report.usage) == {"duration_ms", "cpu_ms", "memory_mb"}
    assert report.queue_latency_ms == 7_000


@pytest.mark.parametrize("is_async", [False, True])
def test_current_job_is_the_job_before_its_run_and_after_it_and_nothing_elsewhere(deploy, recorder, is_async):
    @task
    def work() -> str:
        return current_job().id

    @task
    async def work_async() -> str:
        await asyncio.sleep(0)
        return current_job().id

    working = work_async if is_async else work
    pipeline = deploy(working)
    job = working.delay()
    pipeline.drain()

    (running,) = {run for (run,) in recorder.of("before_run")}
    assert running.id == job.result(0) == job.id
    assert dict(zip(recorder.calls, recorder.jobs, strict=True)) == {
        "before_enqueue": None,
        "after_enqueue": None,
        "process_started": None,
        "before_run": running,
        "after_run": running,
        "invocation_ended": None,
    }
    assert running_job() is None


def test_the_report_tells_the_state_that_was_recorded(deploy, recorder):
    work = ScriptedTask(retry=Retry(max_attempts=2, base="1s", jitter=False))
    pipeline = deploy(work)
    work.on_every_run(fail)
    work.delay("a")

    pipeline.run_until_idle()

    assert recorder.reports() == [(1, State.RETRYING, "ValueError"), (2, State.FAILED, "ValueError")]
    assert [report.queue_latency_ms for _, report in recorder.of("after_run")] == [0, None], "of first attempts alone"
    assert recorder.of("ended_without_run") == []


def test_the_report_of_a_failed_run_that_was_asked_to_stop_says_cancelled(deploy, recorder):
    work = ScriptedTask(retry=Retry(max_attempts=2))
    pipeline = deploy(work)
    job = work.delay("a")
    work.on_run(1, job.cancel)
    work.on_run(1, fail)

    pipeline.run_until_idle()

    assert job.status() is State.CANCELLED
    assert recorder.reports() == [(1, State.CANCELLED, "ValueError")]


def test_an_overtaken_run_has_no_state_to_report(deploy, recorder):
    work = ScriptedTask(timeout="1m")
    pipeline = deploy(work)

    def be_overtaken():
        pipeline.clock.advance(7 * 60)
        pipeline.poll()

    work.on_run(1, be_overtaken)
    work.delay("a")
    pipeline.poll(kill_at_timeout=False)

    assert recorder.reports() == [(2, State.SUCCEEDED, None), (1, None, None)]


def test_a_run_that_learns_from_its_progress_that_it_was_overtaken_has_no_state_either(deploy, recorder):
    work = ScriptedTask()
    pipeline = deploy(work)
    job = work.delay("a")
    work.on_run(1, lambda: pipeline.store.port.change(job.id, lease="another's"))
    work.on_run(1, lambda: current_job().progress(1))

    pipeline.poll()

    assert recorder.reports() == [(1, None, LeaseLost.__name__)]


def test_a_run_whose_end_the_table_never_takes_has_no_state_to_report(deploy, recorder, service_error):
    work = ScriptedTask()
    pipeline = deploy(work)
    work.delay("a")

    with outage(pipeline.store, error=service_error, where=to_state("SUCCEEDED")):
        pipeline.poll()

    assert recorder.calls[-4:] == ["before_run", "after_run", "message_returned", "invocation_ended"]
    assert recorder.reports() == [(1, None, None)]


# No run


def test_a_poison_message_fails_without_a_run_and_once(deploy, recorder):
    pipeline = deploy(ScriptedTask())
    job_id = pipeline.send("no json")

    pipeline.run_until_idle()

    ((name, ended, state, error),) = recorder.of("ended_without_run")
    assert (name, ended, state) == ("work", job_id, State.FAILED)
    assert (error["type"], error["attempt"]) == ("MessageError", 0)
    assert {"before_run", "after_run"}.isdisjoint(recorder.calls)
    assert len(pipeline.mapping().responses) > 1, "it is received until its queue moves it"


def test_a_job_whose_worker_died_on_its_last_attempt_fails_without_a_run_here(deploy, recorder):
    work = ScriptedTask(retry=Retry(max_attempts=1))
    pipeline = deploy(work)
    work.on_every_run(pipeline.kill)
    job = work.delay("a")

    pipeline.run_until_idle()

    ((name, ended, state, error),) = recorder.of("ended_without_run")
    assert (name, ended, state, error["type"]) == ("work", job.id, State.FAILED, "WorkerLost")
    assert error == job.record().error
    assert recorder.calls.count("before_run") == 1
    assert recorder.calls.count("after_run") == 0, "a dead process tells nobody"


def test_a_job_that_expires_ends_without_a_run(deploy, recorder):
    work = ScriptedTask()
    pipeline = deploy(work)
    job = work.options(expires="1m").delay("a")

    pipeline.clock.advance(61)
    pipeline.drain()

    assert recorder.of("ended_without_run") == [("work", job.id, State.EXPIRED, None)]
    assert {"before_run", "after_run"}.isdisjoint(recorder.calls)


def test_a_job_whose_worker_died_before_it_could_heed_a_cancel_ends_without_a_run_here(deploy, recorder):
    work = ScriptedTask(retry=Retry(max_attempts=2))
    pipeline = deploy(work)
    job = work.delay("a")
    work.on_run(1, job.cancel)
    work.on_run(1, pipeline.kill)

    pipeline.run_until_idle()

    assert recorder.of("ended_without_run") == [("work", job.id, State.CANCELLED, None)]
    assert recorder.of("after_run") == []


@pytest.mark.parametrize("why", ["cancelled", "a copy", "no time left", "unanswered claim"])
def test_a_message_that_neither_runs_nor_ends_its_job_calls_no_hook_of_a_job(deploy, recorder, why):
    work = ScriptedTask(timeout="1m", soft_timeout="50s")
    pipeline = deploy(work)
    job = work.delay("a")
    if why == "cancelled":
        job.cancel()
    if why == "a copy":
        body = pipeline.waiting()[0].body
        pipeline.drain()
        pipeline.send(body)
    recorder.forget()

    def does_not_answer(_write):
        pipeline.clock.advance(20 if why == "no time left" else 0)
        return why in ("no time left", "unanswered claim")

    with outage(pipeline.store, where=does_not_answer):
        pipeline.poll()

    assert set(recorder.calls) <= {"process_started", "message_returned", "invocation_ended"}
    returned = [("work", job.id, SERVICE_ERROR)] if why in ("no time left", "unanswered claim") else []
    assert recorder.of("message_returned") == returned
    assert recorder.calls.count("invocation_ended") == 1


# Processes and invocations


def test_every_process_says_that_it_started_before_its_first_job_and_only_then(deploy, recorder):
    work = ScriptedTask(batch_size=1, retry=Retry(max_attempts=2))
    pipeline = deploy(work)
    work.on_run(1, pipeline.kill, of="b")
    for name in "abc":
        pipeline.send(json.dumps({"payload": {"name": name}}))

    for _ in range(3):
        pipeline.poll()

    calls = [call for call in recorder.calls if call in ("process_started", "before_run")]
    in_the_first, in_the_second = ["process_started", "before_run", "before_run"], ["process_started", "before_run"]
    assert calls == in_the_first + in_the_second


def test_an_invocation_ends_once_also_when_a_message_is_postponed(deploy, recorder):
    work = ScriptedTask(batch_size=10, retry=Retry(max_attempts=2))
    pipeline = deploy(work)
    work.on_run(1, pipeline.kill, of="killer")
    killer = work.delay("killer")
    pipeline.poll()
    pipeline.clock.advance(pipeline.task.settings.hard_limit * 6)
    unanswered, after_it = work.delay("unanswered"), work.delay("after it")
    recorder.forget()

    pipeline.store.fail("apply", NO_ANSWER, where=to_record(unanswered.id))
    assert pipeline.poll() == 3

    assert [job.id for (job,) in recorder.of("before_run")] == [after_it.id, unanswered.id, killer.id]
    assert recorder.calls[-1] == "invocation_ended"
    assert recorder.calls.count("invocation_ended") == 1


def test_an_invocation_ends_also_when_its_event_is_no_batch(deploy, recorder):
    pipeline = deploy(ScriptedTask())
    context = Context("work", pipeline.clock, pipeline.clock.now() + 60_000)

    with pytest.raises(Exception, match="Unexpected batch event type"):
        pipeline.worker()({"Records": []}, context)

    assert recorder.calls == ["process_started", "invocation_ended"]


# Registering


def test_hooks_are_nested_in_the_order_of_registration_the_workers_own_outermost(register):
    order = []

    class Named(Hooks):
        def __init__(self, name):
            self._name = name

        def before_run(self, job):
            order.append(f"{self._name} opens")

        def after_run(self, job, report):
            order.append(f"{self._name} closes")

    work = ScriptedTask()
    register(Named("first"), Named("second"))
    with Pipeline(work, hooks=lambda name: [Named(f"own of {name}")]) as pipeline:
        register(Named("third"))
        work.delay("a")
        pipeline.drain()

    assert order == [
        "own of work opens", "first opens", "second opens", "third opens",
        "third closes", "second closes", "first closes", "own of work closes",
    ]  # fmt: skip


def test_hooks_that_are_registered_twice_are_called_once_and_removed_ones_not_at_all(deploy, recorder):
    work = ScriptedTask()
    deploy(work)

    add_hooks(recorder, recorder)
    work.delay("a")
    assert recorder.calls == ["before_enqueue", "after_enqueue"]

    remove_hooks(recorder, Recorder())
    work.delay("b")
    assert recorder.calls == ["before_enqueue", "after_enqueue"]
